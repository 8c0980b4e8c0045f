"""Calibration: whether a score of 0.8 is right eight times in ten.

There are three forms, and they give different values on the same scores. *positive*: does the score of the positive
class say whether the image is positive? *top label*: does the highest score say whether its class is the true one?
*multiclass*: the sum over all classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.pipeline.arm import ARM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.pipeline.images import Labels
    from lesionbench.pipeline.leaderboard import Row

CALIBRATION_COLUMNS = (
    *ARM_COLUMNS,
    "brier_positive",
    "brier_multiclass",
    "brier_skill",
    "log_loss",
    "ece_positive",
    "mce_positive",
    "ece_top_label",
    "mce_top_label",
    "ece_bins",
    "slope_form",
    "calibration_slope",
    "calibration_intercept",
    "calibration_in_the_large",
    "spiegelhalter_z",
    "clipped",
    "n_test",
    "repeats",
    "reason",
)
BINS = 15
EPSILON = 1e-7  # the smallest distance from 1 that a float32 softmax can represent


def calibration_rows(arms: Sequence[ArmScores]) -> list[Row]:
    """One row for each arm, with the CALIBRATION_COLUMNS: the mean over repeats, each measured on its pooled folds.

    What cannot be computed is None, and `reason` says why.
    """
    return [_row(one) for one in arms]


def _row(one: ArmScores) -> Row:
    row: Row = dict.fromkeys(CALIBRATION_COLUMNS)
    row |= {**one.arm.row(), "ece_bins": BINS, "n_test": len(one.ids), "repeats": len(one.repeats)}
    row["slope_form"] = "top label" if one.positive is None else "positive"
    wrong = int((~np.isfinite(one.scores)).sum())
    if wrong:
        return row | {"reason": f"scores must be finite, but {wrong} of them are not"}
    right, confidence = top_label(one.labels, one.scores)
    claim = (right, confidence)  # whether the claim of the score is true, and the score
    squared, reference = brier_multiclass(one.labels, one.scores), brier_of_base_rates(one.labels, len(one.classes))
    row["ece_top_label"], row["mce_top_label"] = _means(calibration_error(right, confidence, BINS))
    reasons = [] if reference else ["the Brier skill needs two classes among the test images, but there is one"]
    if one.positive is not None:
        positive, score = one.labels == one.positive, one.scores[:, :, one.positive]
        claim = (np.broadcast_to(positive, score.shape), score)
        row["brier_positive"] = float(brier_positive(positive, score).mean())
        row["ece_positive"], row["mce_positive"] = _means(calibration_error(positive, score, BINS))
        row["spiegelhalter_z"], reason = _spiegelhalter(positive, score)
        reasons += [reason] if reason else []
    row |= {
        "brier_multiclass": float(squared.mean()),
        "brier_skill": float(1 - squared.mean() / reference) if reference else None,
        "log_loss": float(log_loss(one.labels, one.scores).mean()),
        "clipped": float(((claim[1] < EPSILON) | (claim[1] > 1 - EPSILON)).sum(axis=1).mean()),
    }
    fitted, reason = _recalibrated(one, *claim)
    reasons += [reason] if reason else []
    return row | fitted | {"reason": "; ".join(reasons) or None}


def _means(values: tuple[NDArray[np.float64], ...]) -> list[float]:
    return [float(value.mean()) for value in values]


def brier_positive(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean squared difference of the positive class's score and the truth (Brier 1950), (R,); 0 is best.

    positive (N,), score (R, N). With two classes it is half of `brier_multiclass`.
    """
    found: NDArray[np.float64] = ((score - positive) ** 2).mean(axis=-1)
    return found


def brier_multiclass(labels: Labels, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The squared differences summed over the classes, averaged over images, (R,); scores (R, N, K)."""
    truth = np.eye(scores.shape[-1])[labels]
    found: NDArray[np.float64] = ((scores - truth) ** 2).sum(axis=-1).mean(axis=-1)
    return found


def brier_of_base_rates(labels: Labels, classes: int) -> float:
    """The `brier_multiclass` of a constant score, the class shares of the test images: 1 - sum of squares.

    The Brier skill, 1 - Brier / this, is the same in both forms.
    """
    shares = np.bincount(labels, minlength=classes) / len(labels)
    return float(1 - (shares**2).sum())


def log_loss(labels: Labels, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of -log(score of the true class), (R,); scores below EPSILON are replaced by it to keep it finite."""
    true = scores[:, np.arange(len(labels)), labels]
    found: NDArray[np.float64] = -np.log(np.maximum(true, EPSILON)).mean(axis=-1)
    return found


def top_label(labels: Labels, scores: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether the class with the highest score is the true one, and that score: (R, N) each."""
    return scores.argmax(axis=-1) == labels, scores.max(axis=-1)


def calibration_error(
    true: NDArray[np.bool_], score: NDArray[np.float64], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The expected and the largest calibration error (Naeini 2015; Guo 2017), (R,) each.

    true: (N,) or (R, N), whether the claim of the score is true.  score: (R, N) in [0, 1]. Bins have equal width; a
    score on a border belongs to the bin above it, and 1 to the last bin. The error of a bin is |share of true - mean
    score|; *expected* weights the bins by their number of images, *largest* is over bins that are not empty.
    """
    repeats, images = score.shape
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], score, side="right")
    bin_of += bins * np.arange(repeats)[:, None]
    sums = [
        np.bincount(bin_of.ravel(), np.broadcast_to(weight, score.shape).ravel(), repeats * bins).reshape(-1, bins)
        for weight in (1.0, true.astype(float), score)
    ]
    count, trues, scored = sums
    gaps = np.abs(trues - scored)
    return gaps.sum(axis=1) / images, (gaps / np.maximum(count, 1)).max(axis=1)


def _spiegelhalter(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float | None, str | None]:
    spread = ((1 - 2 * score) ** 2 * score * (1 - score)).sum(axis=1)
    if not (spread > 0).all():
        return None, "Spiegelhalter's z needs scores other than 0, 0.5 and 1"
    return float(spiegelhalter_z(positive, score).mean()), None


def spiegelhalter_z(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Brier score minus its expectation for calibrated scores, in standard errors (Spiegelhalter 1986)."""
    spread = ((1 - 2 * score) ** 2 * score * (1 - score)).sum(axis=-1)
    found: NDArray[np.float64] = ((positive - score) * (1 - 2 * score)).sum(axis=-1) / np.sqrt(spread)
    return found


def _recalibrated(one: ArmScores, true: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[Row, str | None]:
    """The mean slope, intercept and calibration-in-the-large over repeats; None with a reason if a repeat has none."""
    fits = [recalibration(*pair) for pair in zip(true, score, strict=True)]
    found: Row = {}
    for column, name in (
        ("calibration_slope", "slope"),
        ("calibration_intercept", "intercept"),
        ("calibration_in_the_large", "in_the_large"),
    ):
        values = [getattr(fit, name) for fit in fits]
        found[column] = None if None in values else float(np.mean(values))
    reasons = [
        f"seed {seed}" + (f", classifier seed {again}" if again > 1 else "") + f": {fit.reason}"
        for (seed, again), fit in zip(one.repeats, fits, strict=True)
        if fit.reason
    ]
    if not reasons:
        return found, None
    more = f" (and so in {len(reasons)} of {len(fits)} repeats)" if len(reasons) > 1 else ""
    return found, reasons[0] + more


@dataclass(frozen=True)
class Recalibration:
    """Calibrated scores have slope 1, intercept 0 and in-the-large 0. None if the fit does not exist; reason says why.

    A slope below 1 means that scores are too extreme. Slope and intercept are fitted together; in_the_large is the
    intercept at slope 1. Above 0, scores are too low on average.
    """

    slope: float | None
    intercept: float | None
    in_the_large: float | None
    reason: str | None


def recalibration(true: NDArray[np.bool_], score: NDArray[np.float64]) -> Recalibration:
    """The logistic regression of the truth on the logit of N scores (Cox 1958); scores are clipped to EPSILON.

    true: (N,), whether the claim of each score is true. Both fits exist and are unique exactly if none of the reasons
    below holds (Albert & Anderson 1984).
    """
    if true.all() or not true.any():
        return Recalibration(None, None, None, f"a fit needs both outcomes, but all {len(true)} are the same")
    clipped = np.clip(score, EPSILON, 1 - EPSILON)
    logit = np.log(clipped / (1 - clipped))
    in_the_large = _logistic_fit(true, np.ones((len(true), 1)), logit)
    level = None if in_the_large is None else in_the_large[0]
    if logit.min() == logit.max():
        return Recalibration(None, None, level, "a slope needs scores that differ, but all are the same")
    if _separated(true, logit):
        return Recalibration(None, None, level, "the scores separate the outcomes, so the slope has no finite value")
    both = _logistic_fit(true, np.column_stack([np.ones(len(true)), logit]), None)
    if both is None or level is None:
        return Recalibration(None, None, level, "the logistic fit did not converge")
    return Recalibration(both[1], both[0], level, None)


def _separated(true: NDArray[np.bool_], logit: NDArray[np.float64]) -> bool:
    """Whether one threshold separates the two outcomes; values on the threshold count as separated."""
    yes, no = logit[true], logit[~true]
    return bool(no.max() <= yes.min() or yes.max() <= no.min())


def _logistic_fit(
    true: NDArray[np.bool_], design: NDArray[np.float64], offset: NDArray[np.float64] | None
) -> list[float] | None:
    """The coefficients of the logistic regression, or None when it did not converge."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    model: Any = GLM(true.astype(float), design, family=Binomial(), offset=offset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the result shows what the warnings would say
        fitted = model.fit(maxiter=200)
    values = [float(value) for value in fitted.params]
    return values if fitted.converged and np.isfinite(values).all() else None
