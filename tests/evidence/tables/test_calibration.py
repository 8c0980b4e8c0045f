from __future__ import annotations

import numpy as np
import pytest
from made_arms import ROLES, arm_key
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from lesionbench.evidence.statistics.scores import ArmScores
from lesionbench.evidence.tables import calibration
from lesionbench.evidence.tables.calibration import (
    CALIBRATION_COLUMNS,
    EPSILON,
    brier_multiclass,
    brier_positive,
    calibration_error,
    calibration_rows,
    log_loss,
    recalibration,
    spiegelhalter_z,
    top_label,
)
from lesionbench.pipeline.leaderboard import as_csv

LABELS = np.array([0, 0, 0, 1, 0, 1, 1, 0, 1, 1])
SCORE = np.array([0.05, 0.15, 0.22, 0.28, 0.45, 0.55, 0.62, 0.72, 0.85, 0.95])
BOTH = np.stack([1 - SCORE, SCORE], axis=1)[None]  # (1, 10, 2)


def scored(scores, labels=LABELS, positive=1):
    repeats, count, classes = scores.shape
    return ArmScores(
        arm_key(positive_class="b"),
        ROLES["none"],
        tuple((seed, 1) for seed in range(1, repeats + 1)),
        np.array([f"i{n}" for n in range(count)]),
        np.arange(count),
        np.asarray(labels),
        np.zeros(count, np.int64),
        scores,
        tuple("abcdef"[:classes]),
        positive,
    )


def of_score(*scores):
    return scored(np.stack([np.stack([1 - np.array(score), score], axis=1) for score in scores]))


def row_of(one):
    (row,) = calibration_rows([one])
    assert not any(isinstance(value, float) and np.isnan(value) for value in row.values())
    return row


def test_every_measure_of_the_worked_example():
    row = row_of(scored(BOTH))

    assert 0.16846 == pytest.approx(row["brier_positive"])
    assert 2 * 0.16846 == pytest.approx(row["brier_multiclass"])
    assert 0.32616 == pytest.approx(row["brier_skill"])
    assert 0.48957269611491655 == pytest.approx(row["log_loss"])
    assert 1.05149158 == pytest.approx(row["calibration_slope"], abs=1e-7)
    assert 0.10239627 == pytest.approx(row["calibration_intercept"], abs=1e-7)
    assert 0.09656909 == pytest.approx(row["calibration_in_the_large"], abs=1e-7)
    assert 0.04919606047849709 == pytest.approx(row["spiegelhalter_z"])
    assert (0, None, "positive") == (row["clipped"], row["reason"], row["slope_form"])


@pytest.mark.parametrize(("bins", "positive", "top"), [(5, 0.124, 0.214), (10, 0.29, 0.29)])
def test_the_two_forms_of_the_calibration_error_of_the_worked_example(bins, positive, top):
    expected, _ = calibration_error(LABELS == 1, SCORE[None], bins)

    assert positive == pytest.approx(expected[0])
    assert top == pytest.approx(calibration_error(*top_label(LABELS, BOTH), bins)[0][0])


def test_a_row_holds_the_calibration_errors_of_both_forms(monkeypatch):
    monkeypatch.setattr(calibration, "BINS", 5)
    row = row_of(scored(BOTH))

    assert (5, 0.124, 0.25) == pytest.approx((row["ece_bins"], row["ece_positive"], row["mce_positive"]))
    assert 0.214 == pytest.approx(row["ece_top_label"])


def test_the_largest_calibration_error_of_the_worked_example():
    assert 0.25 == pytest.approx(calibration_error(LABELS == 1, SCORE[None], 5)[1][0])


def test_a_score_on_a_border_belongs_to_the_bin_above_and_1_to_the_last():
    expected, largest = calibration_error(np.array([True, True, False]), np.array([[0.5, 1.0, 0.4]]), 2)

    assert (0.9 / 3, 0.4) == pytest.approx((expected[0], largest[0]))  # bins {0.4} and {0.5, 1}


def test_libraries_agree():
    random = np.random.default_rng(1)
    scores, labels = random.dirichlet(np.ones(3), 50), random.integers(0, 3, 50)

    assert brier_score_loss(labels, scores, scale_by_half=False) == pytest.approx(
        brier_multiclass(labels, scores[None])[0]
    )
    assert sklearn_log_loss(labels, scores) == pytest.approx(log_loss(labels, scores[None])[0])
    positive = labels == 1
    assert brier_score_loss(positive, scores[:, 1]) == pytest.approx(brier_positive(positive, scores[None, :, 1])[0])


def test_calibrated_scores_have_slope_1_and_intercept_0():
    random = np.random.default_rng(2)
    score = random.uniform(0.02, 0.98, 40_000)
    fit = recalibration(random.random(40_000) < score, score)

    assert (1, 0, 0) == pytest.approx((fit.slope, fit.intercept, fit.in_the_large), abs=0.05)


def test_scores_twice_as_extreme_have_half_the_slope():
    odds = SCORE / (1 - SCORE)
    fit = recalibration(LABELS == 1, odds**2 / (1 + odds**2))

    assert 1.05149158 / 2 == pytest.approx(fit.slope, abs=1e-6)
    assert 0.10239627 == pytest.approx(fit.intercept, abs=1e-6)


def test_repeats_are_averaged():
    row = row_of(of_score(SCORE, SCORE**2))

    assert (0.16846 + ((SCORE**2 - LABELS) ** 2).mean()) / 2 == pytest.approx(row["brier_positive"])
    assert 2 == row["repeats"]


def test_scores_of_0_and_1_are_clipped_and_counted():
    extreme = SCORE.copy()
    extreme[[0, 9, 7]] = 0, 1, 1  # the last is wrong
    row = row_of(of_score(extreme))

    assert 3 == row["clipped"]
    assert row["log_loss"] > -np.log(EPSILON) / 10 > 1.6
    assert row["reason"] is None


def test_a_separating_score_has_no_slope_and_says_why():
    perfect = np.where(LABELS == 1, SCORE / 2 + 0.5, SCORE / 2)
    row = row_of(of_score(perfect, SCORE, perfect))

    assert row["calibration_slope"] is None
    assert (
        "seed 1: the scores separate the outcomes, so the slope has no finite value (and so in 2 of 3 repeats)"
        == row["reason"]
    )
    assert row["calibration_in_the_large"] is not None


def test_constant_scores_have_no_slope_and_say_why():
    row = row_of(of_score(np.full(10, 0.3)))

    assert row["calibration_slope"] is None
    assert "seed 1: a slope needs scores that differ, but all are the same" == row["reason"]
    assert np.log(7 / 3) == pytest.approx(row["calibration_in_the_large"])  # half are positive


def test_scores_that_only_say_yes_or_no_are_reported():
    row = row_of(of_score((LABELS == 1).astype(float)))

    assert 0 == row["brier_positive"] == row["ece_positive"]
    assert "Spiegelhalter's z needs scores other than 0, 0.5 and 1" in row["reason"]
    assert 10 == row["clipped"]


def test_one_class_is_reported():
    row = row_of(scored(BOTH, labels=np.zeros(10, np.int64)))

    assert row["brier_skill"] is None is row["calibration_slope"]
    assert "the Brier skill needs two classes among the test images, but there is one" in row["reason"]
    assert "seed 1: a fit needs both outcomes, but all 10 are the same" in row["reason"]


def test_scores_that_are_no_numbers_are_reported():
    broken = BOTH.copy()
    broken[0, 3] = np.nan
    row = row_of(scored(broken))

    assert "scores must be finite, but 2 of them are not" == row["reason"]
    assert row["log_loss"] is None
    assert "nan" not in as_csv([row], CALIBRATION_COLUMNS)


def test_three_classes_are_judged_by_their_top_label():
    random = np.random.default_rng(3)
    scores = random.dirichlet(np.ones(3), (2, 200))
    labels = np.array([random.choice(3, p=of_image) for of_image in scores[0]])
    row = row_of(scored(scores, labels, None))
    fits = [recalibration(right, best) for right, best in zip(*top_label(labels, scores), strict=True)]

    assert "top label" == row["slope_form"]
    assert np.mean([fit.slope for fit in fits]) == pytest.approx(row["calibration_slope"])
    assert row["brier_positive"] is None is row["spiegelhalter_z"]
    assert fits[0].slope == pytest.approx(1, abs=0.5)


def test_spiegelhalter_is_a_standard_normal_for_calibrated_scores():
    random = np.random.default_rng(4)
    score = random.uniform(0, 1, (2000, 60))
    z = np.array([spiegelhalter_z(random.random(60) < of_set, of_set[None])[0] for of_set in score])

    assert (0, 1) == pytest.approx((z.mean(), z.std()), abs=0.08)
