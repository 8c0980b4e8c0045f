from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from made_arms import ROLES, arm_key

from lesionbench.evidence.statistics.nested import components
from lesionbench.evidence.statistics.scores import ArmScores
from lesionbench.evidence.tables.variance import VARIANCE_COLUMNS, balanced, fold_metric, image_variance, variance_rows
from lesionbench.pipeline.arm import Role
from lesionbench.pipeline.leaderboard import as_csv
from lesionbench.pipeline.metrics import METRICS, measure

SEEDS_3X2 = tuple((seed, again) for seed in (1, 2, 3) for again in (1, 2))


def arm(folds=3, repeats=SEEDS_3X2, images=40, spread=1.0, augmenter="dcgan", seed=0, classes=2):
    """An arm whose scores are drawn anew for every repeat; a group is two images."""
    random = np.random.default_rng(seed)
    count = folds * images
    labels = np.arange(count) % classes
    logit = np.eye(classes)[labels] + random.normal(0, 1, (count, classes))
    logit = logit + random.normal(0, spread, (len(repeats), count, classes))
    scores = np.exp(logit)
    return ArmScores(
        arm_key(augmenter, 480, "b"),
        ROLES.get(augmenter, Role()),
        tuple(repeats),
        np.array([f"i{n}" for n in range(count)]),
        np.arange(count) // 2,
        labels,
        np.repeat(np.arange(folds), images),
        scores / scores.sum(axis=2, keepdims=True),
        tuple("abcd"[:classes]),
        1 if classes == 2 else None,
    )


def rows_of(one, metric="auc"):
    rows = variance_rows([one], metric)
    assert ",nan" not in as_csv(rows, VARIANCE_COLUMNS)
    return {row["component"]: row for row in rows}


def test_the_components_of_a_worked_example():
    values = np.array([[[1.0, 3.0], [5.0, 7.0]], [[2.0, 2.0], [6.0, 8.0]]])  # folds, seeds, classifier seeds
    fold, seed, again = components(values)

    # cell means 2, 6 / 2, 7; fold means 4, 4.5; mean squares 0.5, (16 + 25) / 2, (2 + 2 + 0 + 2) / 4
    assert (1.5, (20.5 - 1.5) / 2, (0.5 - 20.5) / 4) == pytest.approx((again.variance, seed.variance, fold.variance))
    assert (6 / 11.1433, 6 / 0.48442) == pytest.approx((again.low, again.high), rel=1e-4)  # chi-square of 4
    assert fold.low == 0


def test_values_that_are_all_alike_have_no_variance():
    assert all((0, 0, 0) == (one.variance, one.low, one.high) for one in components(np.full((3, 2, 2), 0.7)))


TRUTHS = [(4.0, 1.0, 2.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0)]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("shape", [(3, 3, 2), (5, 3, 2)])
def test_estimates_are_unbiased_and_intervals_hold_what_they_promise(truth, shape):
    random, trials = np.random.default_rng(1), 1500
    found, inside = np.zeros(3), np.zeros(3)
    for _ in range(trials):
        values = sum(
            np.sqrt(variance) * random.normal(0, 1, (*shape[: depth + 1], *[1] * (2 - depth)))
            for depth, variance in enumerate(truth)
        )
        estimates = components(values)
        found += [one.variance / trials for one in estimates]
        inside += [(one.low <= known <= one.high) / trials for one, known in zip(estimates, truth, strict=True)]

    assert truth == pytest.approx(found, abs=0.35)  # three standard errors of 1,500 trials on three folds
    assert 0.935 < inside.min()
    assert inside[2] < 0.965  # the innermost is exact
    assert inside.max() < 0.99


@pytest.mark.parametrize("metric", METRICS)
def test_the_metric_of_a_fold_is_that_of_the_leaderboard(metric):
    one = arm(folds=1, images=41)
    values, influence = fold_metric(one, 0, metric)

    assert [getattr(measure(one.labels, scores, 1), metric) for scores in one.scores] == pytest.approx(values)
    assert np.zeros(6) == pytest.approx(influence.sum(axis=1))


def test_the_image_variance_of_one_seed_is_that_of_delong():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.35, 0.5, 0.4, 0.3, 0.2, 0.1])
    one = replace(
        arm(folds=1, repeats=((1, 1),), images=10),
        labels=np.repeat([1, 0], 5),
        groups=np.arange(10),
        scores=np.stack([1 - scores, scores], axis=1)[None],
    )
    values, influence = fold_metric(one, 0, "auc")

    assert 0.92 == pytest.approx(values[0])
    assert 0.0088 == pytest.approx(image_variance(influence))


def test_images_of_one_group_count_together():
    one = arm(folds=1, repeats=((1, 1),), images=200)
    twice = replace(
        one,
        ids=np.arange(400).astype(str),
        labels=np.tile(one.labels, 2),
        groups=np.tile(np.arange(200), 2),
        folds=np.zeros(400, np.int64),
        scores=np.tile(one.scores, (1, 2, 1)),
    )
    alone = replace(one, groups=np.arange(200))
    variances = [image_variance(fold_metric(each, 0, "auc")[1]) for each in (alone, twice)]

    assert variances[0] == pytest.approx(variances[1])


def test_seed_noise_is_not_taken_for_image_noise():
    """Hits drawn anew by every seed, at one rate: then the images themselves explain nothing."""
    random, found = np.random.default_rng(2), []
    for _ in range(300):
        hits = random.random((4, 60)) < 0.8
        found.append(((hits - hits.mean(axis=1, keepdims=True)) / 60)[:, :, None].reshape(4, 60))
    total = np.mean([image_variance(influence[:1]) for influence in found])
    common = np.mean([image_variance(influence) for influence in found])

    assert 0.16 / 60 == pytest.approx(total, rel=0.05)
    assert common < 0.25 * total  # never below 0, so not 0 on the mean


def test_the_rows_of_an_arm_stand_in_the_order_of_nesting_and_share_the_whole():
    rows = rows_of(arm())

    assert ["test images", "fold", "augmenter seed", "classifier seed", "mean"] == list(rows)
    assert 1 == pytest.approx(sum(rows[name]["share"] for name in list(rows)[:-1]))
    assert [3, 3, 3, 2, 18] == [row["levels"] for row in rows.values()]
    assert "auc" == rows["mean"]["metric"]
    of_mean = (
        float(rows["test images"]["variance"]) / 3
        + float(rows["fold"]["variance"]) / 3
        + float(rows["augmenter seed"]["variance"]) / 9
        + float(rows["classifier seed"]["variance"]) / 18
    )
    assert rows["mean"]["sd"] == pytest.approx(np.sqrt(of_mean), rel=0.01)


def test_an_arm_without_an_augmenter_has_classifier_seeds_only():
    rows = rows_of(arm(augmenter="none"))

    assert ["test images", "fold", "classifier seed", "mean"] == list(rows)
    assert 6 == rows["classifier seed"]["levels"]
    assert "another classifier seed" not in rows["mean"]["advice"]


def test_one_classifier_seed_a_seed_does_not_part_the_two():
    rows = rows_of(arm(repeats=((1, 1), (2, 1), (3, 1))))

    assert ["test images", "fold", "augmenter and classifier seed", "mean"] == list(rows)
    assert "run with --classifier-seeds 2" in rows["augmenter and classifier seed"]["reason"]


def test_one_seed_goes_with_the_fold():
    rows = rows_of(arm(repeats=((1, 1), (1, 2))))

    assert ["test images", "fold and augmenter seed", "classifier seed", "mean"] == list(rows)
    assert "run with --seeds 3" in rows["fold and augmenter seed"]["reason"]


def test_one_fold_has_no_fold_component_and_says_so():
    rows = rows_of(arm(folds=1))

    assert rows["fold"]["sd"] is None
    assert "there is one fold, so what other training images would do is not known" in rows["fold"]["reason"]
    assert rows["augmenter seed"]["sd"] is not None
    assert "division" not in rows["mean"]["advice"]


def test_one_repeat_of_one_fold_knows_the_test_images_only():
    rows = rows_of(arm(folds=1, repeats=((1, 1),)))

    assert rows["test images"]["sd"] == rows["mean"]["sd"] > 0
    assert "there is one augmenter seed" in rows["augmenter seed"]["reason"]
    assert "what seeds do is not known from one: run with --seeds 3" in rows["mean"]["advice"]


def test_seeds_that_lack_a_classifier_seed_are_left_out():
    assert [[0, 1], [3, 4]] == balanced([(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)]).tolist()
    assert [[0], [2], [3], [4]] == balanced([(1, 1), (1, 2), (2, 1), (3, 1), (4, 1)]).tolist()
    rows = rows_of(arm(repeats=((1, 1), (1, 2), (2, 1), (3, 1), (3, 2))))
    assert "so 1 of 5 repeats are left out" in rows["mean"]["reason"]


def test_the_advice_names_what_lowers_the_standard_error_most():
    random = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    by_seed = np.repeat(random.normal(0, 0.6, 3), 2)[:, None]  # how good the synthetic images of each seed were
    margin = 1.5 + by_seed + random.normal(0, 0.02, (6, 1)) + random.normal(0, 1, 4000)
    score = 1 / (1 + np.exp(-margin * np.where(labels, 1, -1)))
    one = replace(
        arm(folds=1, images=4000), labels=labels, groups=np.arange(4000), scores=np.stack([1 - score, score], axis=2)
    )
    rows = rows_of(one, "accuracy")

    assert rows["augmenter seed"]["share"] > 0.9
    assert "another seed (2 cells) would cut it to" in rows["mean"]["advice"]
    assert rows["mean"]["advice"].endswith("for its cells another seed buys most")


def test_where_the_test_images_are_all_the_chance_no_replicate_helps():
    one = arm(folds=1, spread=0.0, repeats=((1, 1), (2, 1), (3, 1)))
    advice = rows_of(one)["mean"]["advice"]

    assert "no replicate would cut it by more than 1%: only more test images would" in advice


def test_the_variance_of_a_mean_is_that_seen_over_many_experiments():
    """Accuracy of folds with images, training sets, seeds and classifier seeds of their own."""
    random, means, told = np.random.default_rng(5), [], []
    for trial in range(150):
        base = arm(folds=4, repeats=SEEDS_3X2, images=50, seed=trial)
        effect = random.normal(0, 0.3, (4, 1, 1)) + random.normal(0, 0.3, (4, 3, 1)) + random.normal(0, 0.3, (4, 3, 2))
        margin = np.repeat(effect.reshape(4, 6).T, 50, axis=1) + 1 + random.normal(0, 1, 200)
        score = 1 / (1 + np.exp(-margin * np.where(base.labels, 1, -1)))
        one = replace(base, groups=np.arange(200), scores=np.stack([1 - score, score], axis=2))
        (*_, row) = variance_rows([one], "accuracy")
        means.append((one.scores.argmax(axis=2) == one.labels).mean())
        told.append(row["sd"] ** 2)

    assert np.var(means) == pytest.approx(np.mean(told), rel=0.25)


def test_what_cannot_be_decomposed_is_reported():
    one = arm()
    lacking = replace(one, labels=np.where(one.folds == 1, 0, one.labels))
    assert (
        "fold 1: test images of two groups or more are needed in class 'b', but there is none"
        == rows_of(lacking)["mean"]["reason"]
    )
    broken = replace(one, scores=np.where(one.scores > 0.9, np.nan, one.scores))
    assert "scores must be finite" in rows_of(broken)["mean"]["reason"]


def test_constant_scores_have_no_variance():
    rows = rows_of(replace(arm(), scores=np.full((6, 120, 2), 0.5)))

    assert 0 == rows["mean"]["sd"]
    assert "every value is the same" == rows["fold"]["reason"]
    assert rows["fold"]["share"] is None


def test_three_classes_are_decomposed_too():
    three = arm(classes=3)

    assert rows_of(three)["mean"]["sd"] > 0
    assert rows_of(three, "balanced_accuracy")["mean"]["sd"] > 0


def test_sixty_arms_take_a_second():
    arms = [arm(folds=5, images=132, seed=seed) for seed in range(60)]
    start = time.process_time()
    variance_rows(arms, "auc")

    assert time.process_time() - start < 4  # a second where nothing else runs
