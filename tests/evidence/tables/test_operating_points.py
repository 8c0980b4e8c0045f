from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_arms import ROLES, arm_key

from lesionbench.evidence.statistics.scores import ArmScores
from lesionbench.evidence.tables.intervals import wilson
from lesionbench.evidence.tables.operating_points import (
    OPERATING_COLUMNS,
    OperatingPoint,
    choose_threshold,
    operating_rows,
)
from lesionbench.pipeline.leaderboard import as_csv

LABELS = np.repeat([0, 1], [10, 5])
VALIDATION = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.55, 0.7, 0.3, 0.45, 0.6, 0.65, 0.9]
TEST = [0.02, 0.12, 0.18, 0.22, 0.31, 0.33, 0.41, 0.5, 0.62, 0.66, 0.2, 0.58, 0.61, 0.64, 0.8]
SPECIFIC = (("specificity", 0.9),)


def scored(positive_scores, labels=LABELS, folds=None, repeats=None):
    """An arm of two classes, from the scores of the positive one: (N,) or (R, N)."""
    score = np.atleast_2d(np.asarray(positive_scores, float))
    count = score.shape[1]
    return ArmScores(
        arm_key(),
        ROLES["none"],
        repeats or tuple((seed, 1) for seed in range(1, len(score) + 1)),
        np.array([f"i{n}" for n in range(count)]),
        np.arange(count),
        np.asarray(labels, dtype=np.int64),
        np.zeros(count, np.int64) if folds is None else np.asarray(folds),
        np.stack([1 - score, score], axis=2),
        ("benign", "malignant"),
        1,
    )


def one_row(test, validation, targets=SPECIFIC):
    (row,) = operating_rows([test], [validation], targets)
    return row


def test_the_threshold_is_chosen_on_validation_and_frozen_for_test():
    row = one_row(scored(TEST), scored(VALIDATION))

    assert 0.6 == row["threshold"]
    assert (0.6, 0.9) == (row["validation_sensitivity"], row["validation_specificity"])
    assert (0.6, 0.8) == (row["sensitivity"], row["specificity"])
    assert row["reason"] is None


def test_a_threshold_chosen_on_test_would_be_another():
    leaky = choose_threshold(LABELS == 1, np.array(TEST), "specificity", 0.9)

    assert OperatingPoint(0.64, 0.4, 0.9) == leaky


def test_test_scores_do_not_move_the_threshold():
    moved = one_row(scored(np.array(TEST) ** 3), scored(VALIDATION))

    assert 0.6 == moved["threshold"]


def test_a_held_sensitivity_takes_the_best_specificity_and_then_the_best_sensitivity():
    positive = np.array([False, False, True, True])
    point = choose_threshold(positive, np.array([0.1, 0.2, 0.3, 0.4]), "sensitivity", 0.5)

    assert OperatingPoint(0.3, 1.0, 1.0) == point


def test_images_of_one_score_are_called_alike():
    positive = np.array([True, False, True, False, False])
    point = choose_threshold(positive, np.array([0.9, 0.5, 0.5, 0.5, 0.1]), "specificity", 0.7)

    assert OperatingPoint(0.9, 0.5, 1.0) == point


def test_nobody_positive_is_said():
    row = one_row(scored(TEST), scored(np.full(15, 0.5)))

    assert row["validation_sensitivity"] == 0.0
    assert (
        "a specificity of 0.9 is reached on validation only by calling nobody malignant, in 1 of 1 folds and repeats"
        == row["reason"]
    )
    assert np.nextafter(0.5, 1) == row["threshold"]


def test_every_fold_and_repeat_has_a_threshold_of_its_own():
    labels = np.tile(LABELS, 2)
    folds = np.repeat([0, 1], 15)
    shifted = np.concatenate([VALIDATION, np.array(VALIDATION) / 2])
    tested = np.concatenate([TEST, np.array(TEST) / 2])
    row = one_row(scored([tested, tested**2], labels, folds), scored([shifted, shifted**2], labels, folds))

    assert row["threshold"] == pytest.approx((0.6 + 0.3 + 0.36 + 0.09) / 4)
    assert (0.6, 0.8) == pytest.approx((row["sensitivity"], row["specificity"]))
    assert 2 == row["repeats"]


def test_a_fold_without_a_positive_validation_image_is_reported_and_not_nan():
    row = one_row(scored(TEST), scored(VALIDATION, labels=np.zeros(15)))

    assert "a threshold needs both classes, but fold 0 has no positive validation image" == row["reason"]
    assert row["sensitivity"] is None
    assert ",nan" not in as_csv([row], OPERATING_COLUMNS)


def test_missing_or_broken_predictions_are_reported():
    assert "no validation predictions" in operating_rows([scored(TEST)], [], SPECIFIC)[0]["reason"]
    other = scored(VALIDATION, repeats=((7, 1),))
    assert "no repeat has both" in one_row(scored(TEST), other)["reason"]
    broken = [*TEST[:-1], float("nan")]
    assert (
        "scores must be finite, but 2 of the test scores are not"
        == one_row(scored(broken), scored(VALIDATION))["reason"]
    )
    assert "there is no positive test image" in one_row(scored(TEST, labels=np.zeros(15)), scored(VALIDATION))["reason"]


def test_three_classes_have_a_row_a_class_and_target():
    random = np.random.default_rng(0)
    three = replace(
        scored(TEST),
        scores=random.dirichlet(np.ones(3), (2, 15)),
        repeats=((1, 1), (2, 1)),
        labels=np.arange(15) % 3,
        classes=("a", "b", "c"),
        positive=None,
    )
    rows = operating_rows([three], [three], (("specificity", 0.9), ("sensitivity", 0.9)))

    assert ["a", "a", "b", "b", "c", "c"] == [row["class"] for row in rows]
    assert all(row["validation_specificity"] >= 0.9 for row in rows[::2])
    assert all(row["validation_sensitivity"] >= 0.9 for row in rows[1::2])


def test_groups_of_several_images_widen_the_interval():
    alone, in_pairs = (scored(TEST), replace(scored(TEST), groups=np.arange(15) // 2))
    narrow, wide = (one_row(one, scored(VALIDATION)) for one in (alone, in_pairs))

    assert (narrow["sensitivity_low"], narrow["sensitivity_high"]) == pytest.approx(wilson(0.6, 5))
    assert (narrow["specificity_low"], narrow["specificity_high"]) == pytest.approx(wilson(0.8, 10))
    assert wide["specificity_high"] - wide["specificity_low"] > narrow["specificity_high"] - narrow["specificity_low"]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=25),
    st.sampled_from(["sensitivity", "specificity"]),
    st.floats(0.05, 1.0),
)
def test_no_observed_threshold_does_better(pairs, held, target):
    positive = np.array([True, False, *(yes for yes, _ in pairs)])
    score = np.array([3, 3, *(value for _, value in pairs)]) / 8
    point = choose_threshold(positive, score, held, target)
    kept, other = (getattr(point, name) for name in (held, "sensitivity" if held == "specificity" else "specificity"))

    assert kept >= target - 1e-9
    for threshold in [*score, 2.0]:
        rates = {
            "sensitivity": (score[positive] >= threshold).mean(),
            "specificity": (score[~positive] < threshold).mean(),
        }
        of_held = rates.pop(held)
        assert of_held < target - 1e-12 or next(iter(rates.values())) <= other + 1e-9
