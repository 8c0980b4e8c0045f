"""Wilson, DeLong and the patient bootstrap, against numbers computed elsewhere and over worlds whose truth is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from made_arms import arm, of_confusion, world
from scipy.stats import bootstrap

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.bootstrap import Draws, Resampled, resampled
from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.two_way import two_way
from lesionbench.evidence.tables.intervals import (
    draws_of,
    effective_images,
    interval_rows,
    logit_interval,
    rate_interval,
    wilson,
)
from lesionbench.pipeline.metrics import METRICS, measure

SCORES = [0.9, 0.8, 0.7, 0.6, 0.35, 0.5, 0.4, 0.3, 0.2, 0.1]
FRID_ADAR = [[[52, 1, 0], [2, 44, 18], [0, 18, 47]], [[53, 0, 0], [2, 52, 10], [1, 13, 51]]]
KTH = [[[288, 12], [122, 238]], [[283, 17], [98, 262]], [[258, 42], [66, 294]]]


@pytest.mark.parametrize(
    ("hits", "images", "low", "high"),
    [
        (288, 300, 0.9313957879613599, 0.9769726785120576),
        (258, 300, 0.8161683876490509, 0.8947286730692758),
        (143, 182, 0.7205197974362418, 0.8390969891514193),
        (53, 53, 0.932418011423458, 1.0),
        (0, 20, 0.0, 0.1611251580528194),
    ],
)
def test_the_interval_of_a_rate_is_wilsons(hits, images, low, high):
    right = np.array([[True] * hits + [False] * (images - hits)])

    assert rate_interval(right, np.arange(images)) == pytest.approx((low, high), abs=1e-9)
    assert wilson(hits / images, images) == pytest.approx((low, high), abs=1e-9)


def test_two_images_of_every_patient_are_worth_one():
    right = np.array([[True] * 60 + [False] * 40]).repeat(2, axis=1)

    share, images = effective_images(right, np.arange(100).repeat(2))

    assert (share, images) == pytest.approx((0.6, 100))


def test_the_same_answers_in_every_repeat_are_worth_no_more_than_one_repeat():
    right = np.array([[True] * 60 + [False] * 40] * 5)

    assert effective_images(right, np.arange(100))[1] == pytest.approx(100)


def test_the_logit_interval_of_an_auc_is_that_of_the_oracle():
    one = arm([1] * 5 + [0] * 5, SCORES)
    area = two_way(influence_of("auc", one), one)

    assert logit_interval(area.estimate, np.sqrt(area.patients)) == pytest.approx((0.48606279, 0.99289945))


def test_a_perfect_auc_has_no_interval_and_says_so():
    one = arm([1] * 5 + [0] * 5, np.linspace(1, 0, 10))
    rows = interval_rows([one], [leaderboard_row(one)], draws_of([one]))

    (row,) = [row for row in rows if row["metric"] == "auc"]
    assert row["low"] is None
    assert "an AUC of 1 has no DeLong interval" in row["reason"]


def leaderboard_row(one):
    means = {
        name: np.mean([getattr(measure(one.labels, s, one.positive), name) for s in one.scores]) for name in METRICS
    }
    return {**one.arm.row(), **means, "seeds": len(one.repeats)}


def test_the_patient_bootstrap_is_that_of_the_oracle():
    """Three patients with 2 of 2, 1 of 3 and 3 of 4 right: all 27 resamples."""
    right = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    one = arm([1] * 9, right, [0, 0, 1, 1, 1, 2, 2, 2, 2])
    picked = np.array(list(product(range(3), repeat=3)))
    counts = np.stack([(picked == patient).sum(axis=1) for patient in range(3)], axis=1).astype(float)
    found = resampled("accuracy", one, Draws(counts, 1 - np.eye(3), one.groups))

    assert found.estimate == pytest.approx(2 / 3)
    assert found.values.mean() == pytest.approx(0.6726030142696809)
    assert found.values.std() == pytest.approx(0.14757058022666728)
    assert found.percentile() == pytest.approx((0.44166667, 0.91875))


def test_the_percentile_and_bca_intervals_are_scipys_on_the_same_draws():
    generator = np.random.default_rng(3)
    sample = generator.exponential(size=40)
    theirs = bootstrap((sample,), np.mean, n_resamples=4000, rng=np.random.default_rng(0), method="BCa")
    without = (sample.sum() - sample) / 39
    ours = Resampled(sample.mean(), theirs.bootstrap_distribution, without)

    assert ours.bca() == pytest.approx(tuple(theirs.confidence_interval), rel=1e-6)
    percentile = bootstrap((sample,), np.mean, n_resamples=0, bootstrap_result=theirs, method="percentile")
    assert ours.percentile() == pytest.approx(tuple(percentile.confidence_interval))


@pytest.mark.parametrize("matrix", [*FRID_ADAR, *KTH])
@pytest.mark.parametrize("metric", METRICS)
def test_resampling_every_group_once_gives_the_leaderboards_number(matrix, metric):
    one = of_confusion(matrix, classes=("a", "b", "c")[: len(matrix)])
    draws = draws_of([one])

    expected = getattr(measure(one.labels, one.scores[0], one.positive), metric)
    assert resampled(metric, one, draws).estimate == pytest.approx(expected)
    assert influence_of(metric, one).mean == pytest.approx(expected)


@given(some.integers(0, 10_000), some.sampled_from([1, 3]), some.sampled_from([1, 3]))
@settings(max_examples=8)
def test_every_interval_contains_its_estimate(seed, per_group, repeats):
    one = world(np.random.default_rng(seed), groups=60, per_group=per_group, repeats=repeats)[0]
    rows = interval_rows([one], [leaderboard_row(one)], draws_of([one]))

    assert len(rows) == 8  # sensitivity, specificity, accuracy, AUC; balanced accuracy and F1 twice
    for row in rows:
        assert row["low"] <= row["estimate"] + 1e-12
        assert row["estimate"] <= row["high"] + 1e-12


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("classes", [2, 3])
def test_influence_values_sum_to_nothing_and_give_the_bootstraps_variance(metric, classes):
    generator = np.random.default_rng(5)
    labels = generator.integers(0, classes, 600)
    scores = generator.dirichlet(np.ones(classes), (2, 600)) + 0.6 * np.eye(classes)[labels]
    scores /= scores.sum(axis=2, keepdims=True)
    one = arm(labels, scores, np.arange(600) // 2, classes=("a", "b", "c")[:classes])
    influence = influence_of(metric, one)

    assert influence.values.sum(axis=1) == pytest.approx(np.zeros(2), abs=1e-9)
    by_draws = resampled(metric, one, Draws.of(one.groups, 1, 1500)).values.std()
    assert np.sqrt(two_way(influence, one).patients) == pytest.approx(by_draws, rel=0.12)


def test_one_patient_is_given_as_a_reason_and_not_as_a_number():
    one = arm([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.1], [7, 7, 7, 7])
    rows = interval_rows([one], [leaderboard_row(one)], draws_of([one]))

    assert {row["low"] for row in rows} == {None}
    assert all("one group" in row["reason"] for row in rows)


def test_a_class_with_too_few_patients_for_a_bootstrap_is_reported():
    one = arm([1, 0, 0, 0, 0, 0], [0.9, 0.2, 0.1, 0.3, 0.2, 0.4])

    with pytest.raises(NotKnown, match="no image of a class: too few groups"):
        resampled("balanced_accuracy", one, draws_of([one])).percentile()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("per_group", "repeats", "folds"), [(1, 1, 1), (1, 3, 1), (3, 3, 1), (1, 3, 5)])
def test_intervals_hold_the_truth_in_93_to_97_of_100_worlds(per_group, repeats, folds):
    """Of the arm's own metric, over which patients are tested; printed, so that the figures can be quoted."""
    generator = np.random.default_rng(per_group + 10 * repeats + 100 * folds)
    shape = {"per_group": per_group, "repeats": repeats, "folds": folds, "luck": 0.0, "effects": (0.0,)}
    whole = [world(generator, groups=100_000, **shape)[0] for _ in range(2)]
    truth = {name: np.mean([leaderboard_row(one)[name] for one in whole]) for name in METRICS}
    held = dict.fromkeys((row["metric"], row["method"]) for row in rows_of(world(generator, **shape)[0], 0))
    held = dict.fromkeys(held, 0)
    worlds = 1000
    for number in range(worlds):
        for row in rows_of(world(generator, **shape)[0], number):
            held[row["metric"], row["method"]] += row["low"] <= truth[row["metric"]] <= row["high"]
    coverage = {key: count / worlds for key, count in held.items()}
    print(shape, {" ".join(key): round(share, 3) for key, share in coverage.items()})

    assert all(0.93 <= share <= 0.97 for share in coverage.values()), coverage


def rows_of(one, seed):
    return interval_rows([one], [leaderboard_row(one)], Draws.of(one.groups, seed, 1000))
