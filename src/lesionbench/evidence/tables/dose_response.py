"""The metric as a function of the dose, with a fitted curve, and the dose that the validation images choose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.influence import Influence, influence_of
from lesionbench.evidence.statistics.two_way import TwoWay, two_way
from lesionbench.pipeline.arm import ARM_COLUMNS
from lesionbench.pipeline.augmenter import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.pipeline.arm import ArmKey
    from lesionbench.pipeline.leaderboard import Row

DOSE_COLUMNS = (
    "metric",
    "estimate",
    "low",
    "high",
    "fitted",
    "fitted_low",
    "fitted_high",
    "below_best",
    "below_best_high",
    "not_inferior",
    "validation",
    "seeds",
    "reason",
)
CHOICE_COLUMNS = (
    "metric",
    "doses",
    "best_on_test_dose",
    "best_on_test",
    "chosen_dose",
    "chosen_per_fold",
    "chosen_on_test",
    "chosen_low",
    "chosen_high",
    "optimism",
    "smallest_not_inferior_dose",
    "margin",
    "reason",
)
CURVE_COLUMNS = tuple(column for column in ARM_COLUMNS if column != "synthetic_per_class")
FEWEST_FOR_A_BEND = 4  # doses, including 0; with three the curve is a straight line


@dataclass(frozen=True, eq=False)
class Curve:
    """One augmenter's arms in ascending order of dose, starting at dose 0, in the repeats that all of them have.

    validation: the same arms on the validation images.  influence: of the metric, one for each arm.
    """

    metric: str
    doses: tuple[int, ...]
    arms: tuple[ArmScores, ...]
    validation: tuple[ArmScores, ...]
    influence: tuple[Influence, ...]

    @property
    def arm(self) -> ArmKey:
        """The arm with the largest dose; the others, except for dose 0, differ from it only in the dose."""
        return self.arms[-1].arm

    @property
    def is_control(self) -> bool:
        """Whether the augmenter is a control."""
        return self.arms[-1].role.is_control

    def combined(self, weights: NDArray[np.float64]) -> TwoWay:
        """The sum of the metric at all doses with these weights (D,), and its variance."""
        total = self.influence[0].times(float(weights[0]))
        for weight, influence in zip(weights[1:], self.influence[1:], strict=True):
            total = total.plus(influence.times(float(weight)))
        return two_way(total, self.arms[0])

    def smoother(self, at: Sequence[float]) -> NDArray[np.float64]:
        """The weights (len(at), D) that give the fitted curve at these doses from the estimates at all doses."""
        basis = _basis(self.doses, self.doses)
        weights: NDArray[np.float64] = _basis(at, self.doses) @ np.linalg.pinv(basis)
        return weights


def _basis(at: Sequence[float], doses: Sequence[float]) -> NDArray[np.float64]:
    """1, x and, with enough doses, x^2 (len(at), 2 or 3), where x is the logarithm of 1 + dose / the smallest dose."""
    smallest = min(dose for dose in doses if dose > 0)
    x = np.log1p(np.asarray(at, np.float64) / smallest)
    return np.vander(x, 3 if len(doses) >= FEWEST_FOR_A_BEND else 2, increasing=True)


def curves(arms: Sequence[ArmScores], validation: Sequence[ArmScores], metric: str) -> list[Curve]:
    """One curve for each augmenter with at least two doses; `none` is the dose 0 of all of them.

    arms, validation: the same arms in the same order. Raises NotKnown if the metric is undefined on the test images.
    """
    found: dict[ArmKey, list[tuple[ArmScores, ArmScores]]] = {}
    for pair in zip(arms, validation, strict=True):
        found.setdefault(replace(pair[0].arm, synthetic_per_class=0), []).append(pair)
    made = []
    for arm, pairs in found.items():
        role = pairs[0][0].role
        if role.is_baseline or role.holds_back:  # `none` has images that these arms lack, so it is not their dose 0
            continue
        baseline = found.get(replace(arm, augmenter=BASELINE), [])
        if len(pairs) > 1 and baseline:
            made.append(_curve([*baseline, *pairs], metric))
    return made


def _curve(pairs: list[tuple[ArmScores, ArmScores]], metric: str) -> Curve:
    pairs = sorted(pairs, key=lambda pair: pair[0].arm.synthetic_per_class)
    shared = set(pairs[0][0].repeats).intersection(*(set(one.repeats) for one, _ in pairs))
    if not shared:
        raise NotKnown("a curve needs a seed that is done at every dose, but there is none")
    arms = tuple(one.of_repeats(shared) for one, _ in pairs)
    validation = tuple(one.of_repeats(shared) for _, one in pairs)
    doses = tuple(one.arm.synthetic_per_class for one in arms)
    return Curve(metric, doses, arms, validation, tuple(influence_of(metric, one) for one in arms))


def dose_rows(curve: Curve, margin: float) -> list[Row]:
    """One row for each dose: the estimate, the fitted curve with its band, and how far it may be below the best."""
    best = int(np.argmax([one.mean for one in curve.influence]))
    fits = curve.smoother(curve.doses)
    rows: list[Row] = []
    for place, dose in enumerate(curve.doses):
        low, high = two_way(curve.influence[place], curve.arms[place]).interval()
        fitted = curve.combined(fits[place])
        row: Row = {**replace(curve.arm, synthetic_per_class=dose).row(), "metric": curve.metric, "reason": ""}
        row |= {
            "estimate": curve.influence[place].mean,
            "low": low,
            "high": high,
            "seeds": len(curve.arms[place].repeats),
        }
        row |= {"fitted": fitted.estimate, **dict(zip(("fitted_low", "fitted_high"), fitted.interval(), strict=True))}
        row |= {"validation": _on_validation(curve, place)}
        rows.append(row | _below_best(curve, place, best, margin))
    return rows


def _below_best(curve: Curve, place: int, best: int, margin: float) -> Row:
    """How much worse than the best dose: the estimate and its upper limit (97.5%, one-sided)."""
    if place == best:
        return {"below_best": 0.0, "below_best_high": 0.0, "not_inferior": "yes"}
    gap = two_way(curve.influence[best].minus(curve.influence[place]), curve.arms[best])
    most = gap.interval()[1]
    if gap.training is None:
        reason = "one fit a dose: the luck of training is unknown; run --seeds 3 or more"
        return {"below_best": gap.estimate, "below_best_high": None, "not_inferior": "", "reason": reason}
    return {"below_best": gap.estimate, "below_best_high": most, "not_inferior": "yes" if most < margin else "no"}


def _on_validation(curve: Curve, place: int, fold: int | None = None) -> float | None:
    """The metric on validation images: the mean over the folds in which it is defined, or the value in one fold."""
    arm = curve.validation[place]
    values = []
    for one in np.unique(arm.folds) if fold is None else [fold]:
        try:
            values.append(influence_of(curve.metric, arm.of_fold(int(one))).mean)
        except NotKnown:
            continue
    return float(np.mean(values)) if values else None


def choice_row(curve: Curve, rows: Sequence[Row], margin: float) -> Row:
    """The dose that validation chooses, its metric on test, and how much better the best dose on test looks.

    With folds, the validation images of a fold choose for that fold only, because they are test images of another.
    """
    estimates = [one.mean for one in curve.influence]
    best = int(np.argmax(estimates))
    row: Row = {**curve.arm.row(), **dict.fromkeys(CHOICE_COLUMNS)}
    row |= {"metric": curve.metric, "margin": margin, "reason": ""}
    row |= {"doses": ";".join(map(str, curve.doses)), "best_on_test_dose": curve.doses[best]}
    row |= {"best_on_test": estimates[best]}
    enough = [place for place, one in enumerate(rows) if one["not_inferior"] == "yes"]
    unknown = [str(one["reason"]) for one in rows if one["reason"]]
    if unknown:
        row["reason"] = unknown[0]
    else:
        row["smallest_not_inferior_dose"] = curve.doses[min(enough)]
    overall = _choose(curve, None)
    folds = [int(fold) for fold in np.unique(curve.arms[0].folds)]
    per_fold = {fold: _choose(curve, fold) for fold in folds}
    if overall is None or None in per_fold.values():
        reason = "a fold's validation images do not hold every class, so validation chooses no dose"
        return row | {"reason": reason}
    chosen = {fold: place for fold, place in per_fold.items() if place is not None}
    tested = two_way(*_of_choice(curve, chosen))
    low, high = tested.interval()
    row |= {"chosen_dose": curve.doses[overall], "chosen_on_test": tested.estimate, "chosen_low": low}
    row |= {"chosen_high": high, "optimism": estimates[best] - tested.estimate}
    return row | {"chosen_per_fold": ";".join(str(curve.doses[place]) for place in chosen.values())}


def _choose(curve: Curve, fold: int | None) -> int | None:
    """The position of the dose with the best metric on validation, the smallest dose if several are equal."""
    values = [_on_validation(curve, place, fold) for place in range(len(curve.doses))]
    known = [value for value in values if value is not None]
    return int(np.argmax(known)) if len(known) == len(values) else None


def _of_choice(curve: Curve, chosen: dict[int, int]) -> tuple[Influence, ArmScores]:
    """The test scores of each fold at the dose that was chosen for it."""
    mixed = curve.arms[0].scores.copy()
    for fold, place in chosen.items():
        of_fold = curve.arms[0].folds == fold
        mixed[:, of_fold] = curve.arms[place].scores[:, of_fold]
    arm = replace(curve.arms[0], scores=mixed)
    return influence_of(curve.metric, arm), arm
