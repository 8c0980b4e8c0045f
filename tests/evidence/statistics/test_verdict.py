"""The verdict, Holm, tie groups, and how often they are wrong in worlds whose truth is known."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from made_arms import arm, world

from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.two_way import TwoWay, two_way
from lesionbench.evidence.statistics.verdict import groups_needed, holm, judge, tie_groups
from lesionbench.evidence.tables.comparisons import (
    COMPARISONS_COLUMNS,
    Judging,
    comparison_rows,
    find_baselines,
    letters,
)
from lesionbench.evidence.tables.intervals import draws_of


@pytest.fixture(scope="module", autouse=True)
def little_garbage_to_collect():
    """Holm's method in statsmodels collects garbage each time, which is slow after many other tests."""
    gc.collect()
    gc.freeze()


JUDGING = Judging("none", "auc", 0.02, 2000, 660)


def test_holm_is_that_of_the_oracle():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(some.lists(some.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=30)
def test_holm_keeps_the_order_and_lowers_nothing(p_values):
    adjusted = holm(p_values)

    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values)
    assert (np.diff(np.array(adjusted)[order]) >= -1e-12).all()


def difference(estimate, error=0.005, training=1e-6, degrees=50, groups=600):
    return TwoWay(estimate, error**2 - (training or 0.0), training, degrees, groups)


@pytest.mark.parametrize(
    ("estimate", "error", "adjusted", "verdict"),
    [
        (0.05, 0.005, 0.001, "helps"),
        (-0.05, 0.005, 0.001, "harms"),
        (0.001, 0.005, 0.9, "no difference"),
        (0.012, 0.002, 0.001, "no difference"),  # real, and too small to matter
        (0.03, 0.02, 0.2, "cannot tell"),
        (0.05, 0.02, 0.06, "cannot tell"),  # p below .05 alone, not among so many arms
    ],
)
def test_the_verdict_follows_from_the_interval_the_margin_and_the_adjusted_p(estimate, error, adjusted, verdict):
    assert verdict == judge(difference(estimate, error), adjusted, 0.02).verdict


def test_one_fit_an_arm_cannot_tell_and_says_what_to_type():
    judged = judge(difference(0.2, training=None), 0.0001, 0.02)

    assert judged.verdict == "cannot tell"
    assert "--seeds 3" in judged.reason


def test_a_handful_of_patients_on_whom_all_arms_are_right_shows_nothing():
    few = arm([0, 1] * 15, [[0.1, 0.9] * 15] * 3), arm([0, 1] * 15, [[0.2, 0.8] * 15] * 3, name="made", dose=5)
    (row,) = compared(list(few))

    assert (row["verdict"], row["test_groups_needed"]) == ("cannot tell", 150)
    assert row["sensitivity_low"] is None


def test_with_the_patients_that_are_needed_the_margin_would_be_seen_with_80_percent_power():
    found = difference(0.0, error=0.02, training=1e-5, groups=100)
    needed = groups_needed(found, 0.02)
    error = np.sqrt(found.patients * 100 / needed + found.training)

    assert 0.02 / error == pytest.approx(1.959964 + 0.841621, rel=0.02)  # the normal quantiles; 99 patients have wider
    assert judge(found, 1.0, 0.02).groups_needed == needed


def test_a_difference_near_the_margin_says_that_it_is_not_sure_among_so_many_arms():
    judged = judge(difference(-0.015, error=0.004, groups=2000), 0.06, 0.02)

    assert (judged.verdict, judged.groups_needed) == ("cannot tell", None)
    assert "p 0.0600 after Holm" in judged.reason


def test_no_number_of_patients_is_named_where_training_hides_the_margin():
    judged = judge(difference(0.0, error=0.05, training=0.0024), 1.0, 0.02)

    assert judged.groups_needed is None
    assert "more --seeds" in judged.reason


@pytest.mark.parametrize(
    ("differing", "expected"),
    [
        ([], ["a", "a", "a"]),
        ([(0, 2)], ["a", "ab", "b"]),
        ([(0, 1), (0, 2)], ["a", "b", "b"]),
        ([(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
    ],
)
def test_arms_share_a_letter_exactly_when_they_cannot_be_told_apart(differing, expected):
    differ = [[(min(i, j), max(i, j)) in differing for j in range(3)] for i in range(3)]

    assert expected == tie_groups([0, 1, 2], differ)


@given(some.lists(some.booleans(), min_size=15, max_size=15))
@settings(max_examples=40)
def test_letters_say_of_every_pair_whether_it_differs(flags):
    differ = [[False] * 6 for _ in range(6)]
    pairs = [(i, j) for j in range(6) for i in range(j)]
    for (i, j), flag in zip(pairs, flags, strict=True):
        differ[i][j] = differ[j][i] = flag
    found = tie_groups(list(range(6)), differ)

    assert all(bool(set(found[i]) & set(found[j])) == (not differ[i][j]) for i, j in pairs)


def rng_scores(*shape):
    return np.random.default_rng(3).random(shape)


def compared(arms, judging=JUDGING):
    return comparison_rows(arms, find_baselines(arms, judging.baseline), judging, draws_of(arms))


@given(some.integers(0, 1000))
@settings(max_examples=5)
def test_swapping_the_arms_turns_every_sign_and_keeps_every_p(seed):
    one, other = world(np.random.default_rng(seed), groups=120)
    (there,) = compared([one, other])
    (back,) = compared([one, other], Judging("made@1", "auc", 0.02, 2000, 660))

    for column in ("sensitivity_difference", "specificity_difference", "auc_difference", "difference"):
        assert there[column] == pytest.approx(-back[column])
    for column in ("sensitivity_mcnemar_p", "auc_delong_p", "p", "nadeau_bengio_p"):
        assert there[column] == back[column]
    assert there["low"] == pytest.approx(-back["high"])
    assert there["sensitivity_low"] <= there["sensitivity_difference"] <= there["sensitivity_high"]


def test_an_arm_equal_to_the_baseline_shows_no_difference_at_all():
    one = world(np.random.default_rng(0))[0]
    twin = arm(one.labels, one.scores[:, :, 1], one.groups, name="made", dose=60)
    (row,) = compared([one, twin])

    assert (row["difference"], row["p"], row["sensitivity_mcnemar_p"]) == (0.0, "1", "1")
    assert row["verdict"] == "no difference"


def test_a_large_effect_helps_and_its_reverse_harms():
    arms = world(np.random.default_rng(1), groups=600, effects=(0.0, 2.0), luck=0.05)

    assert [row["verdict"] for row in compared(arms)] == ["helps"]
    assert [row["verdict"] for row in compared(arms, Judging("made@1", "auc", 0.02, 2000, 660))] == ["harms"]
    assert letters(arms, "auc") == ["b", "a"]


def test_controls_are_adjusted_for_among_themselves():
    arms = world(np.random.default_rng(2), groups=200, effects=(0.0, 0.4))
    control = arm(arms[0].labels, arms[0].scores[:, :, 1], arms[0].groups, name="shuffled:dcgan", dose=60)
    alone, beside = compared(arms), compared([*arms, control])

    assert alone[0] == beside[0]
    assert ["augmenter", "control"] == [row["family"] for row in beside]


@pytest.mark.parametrize("scores", [[0.5] * 60, list(np.tile([0.2, 0.8], 30))])
def test_constant_and_tied_scores_have_rows_and_no_warning(scores):
    labels = np.repeat([0, 1], 30)
    other = arm(labels, [scores, scores, scores], name="made", dose=5)
    baseline = arm(labels, np.random.default_rng(0).random((3, 60)))
    (row,) = compared([baseline, other])

    assert tuple(row)[8:] == COMPARISONS_COLUMNS
    assert np.isfinite(row["difference"])


def test_a_missing_class_a_single_patient_and_a_baseline_that_is_not_done_give_reasons():
    only = arm([0, 0, 0], [[0.1, 0.4, 0.6]] * 2), arm([0, 0, 0], [[0.3, 0.4, 0.6]] * 2, name="made", dose=5)
    patient = [arm([0, 1, 1], [[0.1, 0.4, 0.6]] * 2, [4, 4, 4], name=name) for name in ("none", "made")]
    alone = arm([0, 1, 1], [[0.1, 0.4, 0.6]] * 2, name="made", dose=5)

    assert "there is none" in compared(list(only))[0]["reason"]
    assert "one group" in compared(patient)[0]["reason"]
    fold = [
        arm([0, 1] * 20 + [0] * 20, rng_scores(2, 60), None, [0] * 40 + [1] * 20, name) for name in ("none", "made")
    ]
    assert "no resampled t-test, in fold 1" in compared(fold)[0]["reason"]
    assert "none is not done" in compared([alone])[0]["reason"]


def test_a_seed_that_only_one_arm_has_is_left_out_of_the_comparison():
    one, other = world(np.random.default_rng(4), repeats=3)
    fewer = other.of_repeats([(1, 1), (3, 1)])
    (row,) = compared([one, fewer])

    assert row["seeds"] == 2
    both = one.of_repeats([(1, 1), (3, 1)])
    assert row["auc_difference"] == pytest.approx(influence_of("auc", fewer).mean - influence_of("auc", both).mean)


def test_training_luck_widens_the_interval():
    quiet, lucky = (
        np.mean([two_way(influence_of("auc", one), one).error for one in many])
        for many in ([world(np.random.default_rng(seed), luck=luck)[0] for seed in range(20)] for luck in (0.0, 0.8))
    )

    assert lucky > 1.3 * quiet


SETTINGS = [
    {"groups": 300, "luck": 0.0},
    {"groups": 300},
    {"groups": 300, "luck": 0.5},
    {"groups": 300, "luck": 0.8},
    {"groups": 150, "per_group": 3},
    {"groups": 200, "folds": 5, "fold_luck": 0.1},
    {"groups": 200, "folds": 5, "repeats": 1, "fold_luck": 0.1},
    {"groups": 300, "repeats": 2, "luck": 0.5},
    {"groups": 200, "folds": 3, "repeats": 1, "fold_luck": 0.2},
]


def false_alarms(shape, experiments, effects, seed=0):
    """The share of experiments in which an arm that is no better is said to help, and intervals that hold the truth."""
    generator = np.random.default_rng(seed)
    alarms, held = 0, []
    for _ in range(experiments):
        arms = world(generator, effects=effects, **shape)
        rows = comparison_rows(arms, find_baselines(arms, "none"), JUDGING, None)  # verdicts need no bootstrap
        alarms += any(row["verdict"] == "helps" for row in rows)
        held += [row["low"] <= 0 <= row["high"] for row in rows]
    return alarms / experiments, float(np.mean(held))


@pytest.mark.parametrize("shape", [{"repeats": 3}, {"repeats": 2, "luck": 0.5}, {"folds": 2, "repeats": 1}], ids=str)
def test_without_an_effect_few_experiments_find_help(shape):
    alarms, held = false_alarms({"groups": 120, **shape}, 40, (0.0,) * 4)

    assert alarms <= 0.1
    assert held >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shape", SETTINGS, ids=str)
def test_without_an_effect_at_most_5_percent_of_experiments_find_help(shape):
    """Five arms each, judged by the AUC; printed, so that the figures can be quoted."""
    alarms, held = false_alarms(shape, 1000, (0.0,) * 6)
    print(shape, f"helps in {alarms:.1%} of experiments; intervals of differences hold 0 in {held:.1%}")

    assert alarms <= 0.05
    assert 0.93 <= held <= 0.98
