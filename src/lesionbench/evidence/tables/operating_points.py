"""Operating points: a threshold chosen on validation images only, and its rates on test images.

The rule: the highest sensitivity at a specificity of at least the target, and the reverse. An image is called positive
if its score is at least the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lesionbench.evidence.tables.intervals import rate_interval
from lesionbench.pipeline.arm import ARM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.pipeline.leaderboard import Row

OPERATING_COLUMNS = (
    *ARM_COLUMNS,
    "class",
    "held",
    "target",
    "threshold",
    "validation_sensitivity",
    "validation_specificity",
    "sensitivity",
    "sensitivity_low",
    "sensitivity_high",
    "specificity",
    "specificity_low",
    "specificity_high",
    "n_validation",
    "n_test",
    "repeats",
    "reason",
)
Held = Literal["specificity", "sensitivity"]
Target = tuple[Held, float]
ROUNDING = 1e-12  # so that 9 of 10 reach 0.90 in spite of rounding

Hits = NDArray[np.bool_]  # (R, n): whether each of n images was right in each of R repeats


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and its rates on the images that it was chosen on."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, eq=False)
class _Rates:
    """Whether positives (R, P) and negatives (R, Q) were called right, and the groups of each."""

    positives: Hits
    negatives: Hits
    positive_groups: NDArray[np.int64]
    negative_groups: NDArray[np.int64]


def choose_threshold(
    positive: NDArray[np.bool_], score: NDArray[np.float64], held_rate: Held, target: float
) -> OperatingPoint:
    """The threshold at which `held_rate` reaches the target and the other rate is highest.

    positive (N,): which images are positive, some but not all.  score (N,).  The threshold is an observed score or one
    above all of them; on a tie, the one with the better `held_rate`. One always exists: with no image called positive
    the specificity is 1, with all of them the sensitivity is 1.
    """
    negatives, positives = np.sort(score[~positive]), np.sort(score[positive])
    thresholds = np.unique(score)
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.inf))
    sensitivity = 1 - np.searchsorted(positives, thresholds, side="left") / len(positives)
    specificity = np.searchsorted(negatives, thresholds, side="left") / len(negatives)
    kept, other = (specificity, sensitivity) if held_rate == "specificity" else (sensitivity, specificity)
    reached = np.flatnonzero(kept >= target - ROUNDING)
    best = reached[np.lexsort((kept[reached], other[reached]))[-1]]
    return OperatingPoint(float(thresholds[best]), float(sensitivity[best]), float(specificity[best]))


def operating_rows(test: Sequence[ArmScores], validation: Sequence[ArmScores], targets: Sequence[Target]) -> list[Row]:
    """One row for each arm, class and target, with the OPERATING_COLUMNS; thresholds come from `validation` only.

    Two classes: the positive one; three or more: each class against the rest. Each fold and repeat has its own
    threshold, chosen on the fold's validation images and applied to its test images. Rates are pooled over folds, then
    the mean over repeats is taken.
    """
    chosen_on = {one.arm: one for one in validation}
    rows: list[Row] = []
    for one in test:
        labels = range(len(one.classes)) if one.positive is None else (one.positive,)
        like = chosen_on.get(one.arm)
        rows += [_row(one, like, label, target) for label in labels for target in targets]
    return rows


def _row(test: ArmScores, validation: ArmScores | None, label: int, target: Target) -> Row:
    row: Row = dict.fromkeys(OPERATING_COLUMNS)
    row |= {
        **test.arm.row(),
        "class": test.classes[label],
        "held": target[0],
        "target": target[1],
        "n_test": len(test.ids),
    }
    row |= {"repeats": 0}
    if validation is None:
        return row | {"reason": "there are no validation predictions to choose a threshold on"}
    repeats = [repeat for repeat in test.repeats if repeat in validation.repeats]
    row |= {"repeats": len(repeats), "n_validation": len(validation.ids)}
    reason = _unusable(test, validation, label, len(repeats))
    if reason:
        return row | {"reason": reason}
    mine, theirs = (_of_class(one, repeats, label) for one in (test, validation))
    points = _points(validation, theirs, label, target)
    seen, applied = _called(validation, theirs, label, points), _called(test, mine, label, points)
    row |= {
        "threshold": float(np.mean([point.threshold for of_fold in points.values() for point in of_fold])),
        "validation_sensitivity": float(seen.positives.mean()),
        "validation_specificity": float(seen.negatives.mean()),
    }
    return row | _measured(applied) | {"reason": _remark(points, target, applied, test.classes[label])}


def _of_class(one: ArmScores, repeats: Sequence[tuple[int, int]], label: int) -> NDArray[np.float64]:
    """The scores (R, N) of one class in these repeats."""
    chosen = [one.repeats.index(repeat) for repeat in repeats]
    scores: NDArray[np.float64] = one.scores[chosen, :, label]
    return scores


def _unusable(test: ArmScores, validation: ArmScores, label: int, repeats: int) -> str | None:
    """Why no threshold can be chosen, or None."""
    if not repeats:
        return "no repeat has both validation and test predictions"
    for part, one in (("validation", validation), ("test", test)):
        wrong = int((~np.isfinite(one.scores)).sum())
        if wrong:
            return f"scores must be finite, but {wrong} of the {part} scores are not"
    for fold in np.unique(test.folds).tolist():
        positive = validation.labels[validation.folds == fold] == label
        for what, found in (("positive", positive.any()), ("negative", (~positive).any())):
            if not found:
                return f"a threshold needs both classes, but fold {fold} has no {what} validation image"
    return None


def _points(one: ArmScores, scores: NDArray[np.float64], label: int, target: Target) -> dict[int, list[OperatingPoint]]:
    """For every fold, the operating point of each repeat."""
    found = {}
    for fold in np.unique(one.folds).tolist():
        of_fold = one.folds == fold
        positive = one.labels[of_fold] == label
        found[fold] = [choose_threshold(positive, score[of_fold], *target) for score in scores]
    return found


def _called(one: ArmScores, scores: NDArray[np.float64], label: int, points: dict[int, list[OperatingPoint]]) -> _Rates:
    """Which images are called right at these thresholds, pooled over folds."""
    called = np.zeros(scores.shape, bool)
    for fold, of_fold in points.items():
        in_fold = one.folds == fold
        thresholds = np.array([point.threshold for point in of_fold])
        called[:, in_fold] = scores[:, in_fold] >= thresholds[:, None]
    positive = one.labels == label
    return _Rates(called[:, positive], ~called[:, ~positive], one.groups[positive], one.groups[~positive])


def _measured(rates: _Rates) -> Row:
    """The test rates with their intervals; a rate without images is missing."""
    sides = (
        ("sensitivity", rates.positives, rates.positive_groups),
        ("specificity", rates.negatives, rates.negative_groups),
    )
    found: Row = {}
    for name, hits, groups in sides:
        if hits.shape[1]:
            low, high = rate_interval(hits, groups)
            found |= {name: float(hits.mean()), f"{name}_low": low, f"{name}_high": high}
    return found


def _remark(points: dict[int, list[OperatingPoint]], target: Target, applied: _Rates, class_name: str) -> str | None:
    """What a reader must know about this operating point, or None."""
    held_rate, wanted = target
    found = [point for of_fold in points.values() for point in of_fold]
    other, who = ("sensitivity", "nobody") if held_rate == "specificity" else ("specificity", "everybody")
    empty = sum(getattr(point, other) == 0 for point in found)
    remarks = []
    if empty:
        remarks.append(
            f"a {held_rate} of {wanted:g} is reached on validation only by calling {who} {class_name}, "
            f"in {empty} of {len(found)} folds and repeats"
        )
    for what, hits in (("positive", applied.positives), ("negative", applied.negatives)):
        if not hits.shape[1]:
            remarks.append(f"there is no {what} test image")
    return "; ".join(remarks) or None
