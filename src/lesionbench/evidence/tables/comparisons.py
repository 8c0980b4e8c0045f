"""comparisons.csv: each arm against the baseline, paired image by image, with a verdict."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.bootstrap import resampled
from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.paired import mcnemar, nadeau_bengio
from lesionbench.evidence.statistics.power import ALPHA
from lesionbench.evidence.statistics.scores import matched
from lesionbench.evidence.statistics.two_way import difference_of
from lesionbench.evidence.statistics.verdict import holm, judge, tie_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lesionbench.evidence.statistics.bootstrap import Draws
    from lesionbench.evidence.statistics.influence import Influence
    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.evidence.statistics.two_way import TwoWay
    from lesionbench.pipeline.leaderboard import Row

P_COLUMNS = ("sensitivity_mcnemar_p", "specificity_mcnemar_p", "auc_delong_p", "p", "p_holm", "nadeau_bengio_p")
SIDES = ("sensitivity", "specificity")
COMPARISONS_COLUMNS = (
    "baseline",
    "seeds",
    "n_test",
    "n_groups",
    *(
        f"{side}_{column}"
        for side in SIDES
        for column in ("difference", "low", "high", "only_arm_right", "only_baseline_right", "mcnemar_p")
    ),
    "auc_difference",
    "auc_low",
    "auc_high",
    "auc_delong_p",
    "judged_by",
    "family",
    "difference",
    "low",
    "high",
    "standard_error",
    "patients_error",
    "training_error",
    "p",
    "p_holm",
    "nadeau_bengio_t",
    "nadeau_bengio_p",
    "nadeau_bengio_low",
    "nadeau_bengio_high",
    "verdict",
    "test_groups_needed",
    "reason",
)


@dataclass(frozen=True)
class Judging:
    """How arms are judged: against which baseline, by which metric, and with which margin.

    margin: a smaller difference does not matter.  train, test: how many images a fit learns from and is tested on, for
    the corrected resampled t-test.
    """

    baseline: str
    judged_by: str
    margin: float
    train: int
    test: int


def find_baselines(arms: Sequence[ArmScores], name: str) -> dict[str, ArmScores]:
    """The finished baselines by classifier."""
    return {one.arm.classifier: one for one in arms if one.name == name}


def comparison_rows(
    arms: Sequence[ArmScores], baselines: dict[str, ArmScores], judging: Judging, draws: Draws | None
) -> list[Row]:
    """One row for each arm except the baseline, in the leaderboard's order: ARM_COLUMNS and COMPARISONS_COLUMNS."""
    compared = [
        _compared(one, baselines.get(one.arm.classifier), judging, draws)
        for one in arms
        if one.name != judging.baseline
    ]
    for family in ("augmenter", "control"):
        _judge([one for one in compared if one.row["family"] == family], judging.margin)
    for one in compared:
        one.row["reason"] = "; ".join(dict.fromkeys(one.reasons))
        for column in P_COLUMNS:  # four decimals are too few for small p-values
            if one.row[column] is not None:
                one.row[column] = f"{one.row[column]:.3g}"
    return [one.row for one in compared]


@dataclass
class _Compared:
    """One arm's row so far, the difference that is judged if it is known, and the reasons for empty fields."""

    row: Row
    difference: TwoWay | None = None
    reasons: list[str] = field(default_factory=list)


def _judge(family: Sequence[_Compared], margin: float) -> None:
    """Set the verdict of every arm of a family, with p-values adjusted for the number of arms in it."""
    known = [(one, one.difference) for one in family if one.difference is not None]
    for (one, difference), p_holm in zip(known, holm([found.p_value() for _, found in known]), strict=True):
        judged = judge(difference, p_holm, margin)
        one.row |= {"p_holm": p_holm, "verdict": judged.verdict, "test_groups_needed": judged.groups_needed}
        one.reasons.insert(0, judged.reason)


def _compared(one: ArmScores, baseline: ArmScores | None, judging: Judging, draws: Draws | None) -> _Compared:
    row: Row = {**one.arm.row(), **dict.fromkeys(COMPARISONS_COLUMNS), "baseline": judging.baseline}
    row |= {"judged_by": judging.judged_by, "verdict": "cannot tell", "seeds": 0}
    row["family"] = one.role.family
    if baseline is None:
        return _Compared(row, reasons=[f"the baseline {judging.baseline} is not done"])
    one, baseline = matched(one, baseline)
    if not one.repeats:
        return _Compared(row, reasons=[f"no seed is done in both the arm and {judging.baseline}"])
    row |= {"seeds": len(one.repeats), "n_test": len(one.labels), "n_groups": len(np.unique(one.groups))}
    found = _Compared(row)
    parts: list[Callable[[], Row]] = [
        *(partial(_bootstrapped, side, one, baseline, draws) for side in SIDES),
        *(partial(_mcnemar, side, one, baseline) for side in SIDES),
        partial(_auc, one, baseline),
        partial(_resampled_t, one, baseline, judging),
    ]
    for part in parts:
        try:
            row |= part()
        except NotKnown as unknown:
            found.reasons.append(str(unknown))
    try:
        found.difference = difference_of(judging.judged_by, one, baseline)
    except NotKnown as unknown:
        found.reasons.insert(0, str(unknown))
    else:
        row |= _described(found.difference)
    return found


def _described(difference: TwoWay) -> Row:
    low, high = difference.interval()
    training = difference.training
    return {
        "difference": difference.estimate,
        "low": low,
        "high": high,
        "standard_error": difference.error,
        "patients_error": math.sqrt(difference.patients),
        "training_error": None if training is None else math.sqrt(training),
        "p": difference.p_value(),
    }


def _bootstrapped(side: str, one: ArmScores, baseline: ArmScores, draws: Draws | None) -> Row:
    """The difference in one rate with its paired bootstrap interval; raises NotKnown if there is none."""
    if draws is None:
        raise NotKnown("all test images are of one group, so there is no bootstrap")
    difference = resampled(side, one, draws).minus(resampled(side, baseline, draws))
    if np.isnan(difference.estimate):
        raise NotKnown(f"no test image is there for the {side}")
    row: Row = {f"{side}_difference": difference.estimate}
    with suppress(NotKnown):  # both arms give the same answers in every resample
        row[f"{side}_low"], row[f"{side}_high"] = difference.percentile()
    return row


def _mcnemar(side: str, one: ArmScores, baseline: ArmScores) -> Row:
    """McNemar's test on the images of one side; empty if there are none."""
    among = _images_of(side, one)
    if among is None or not among.any():
        return {}
    test = mcnemar(one, baseline, among)
    return {f"{side}_only_arm_right": test.b, f"{side}_only_baseline_right": test.c, f"{side}_mcnemar_p": test.p}


def _images_of(side: str, one: ArmScores) -> Any:
    """Which images count for one side, (N,); None for the specificity with three or more classes."""
    if one.positive is None:
        return np.ones(len(one.labels), bool) if side == "sensitivity" else None
    return (one.labels == one.positive) == (side == "sensitivity")


def _auc(one: ArmScores, baseline: ArmScores) -> Row:
    """The difference in AUC with DeLong's interval and p-value, which consider only the test images."""
    return delong(difference_of("auc", one, baseline))


def delong(difference: TwoWay) -> Row:
    """DeLong's normal test, without the training's part of the variance."""
    error = float(np.sqrt(difference.patients))
    half = ndtri(0.975) * error
    p_value = float(2 * ndtr(-abs(difference.estimate) / error)) if error else float(not difference.estimate)
    ends = {"auc_low": difference.estimate - half, "auc_high": difference.estimate + half}
    return {"auc_difference": difference.estimate, **ends, "auc_delong_p": p_value}


def _resampled_t(one: ArmScores, baseline: ArmScores, judging: Judging) -> Row:
    """Nadeau and Bengio's test over all folds and repeats; raises NotKnown if a fold has no image of a class."""
    differences: list[float] = []
    for fold in np.unique(one.folds):
        of_arm, of_baseline = (_in_fold(judging.judged_by, part, int(fold)) for part in (one, baseline))
        differences += (of_arm.estimates - of_baseline.estimates).tolist()
    test = nadeau_bengio(differences, judging.train, judging.test)
    return {f"nadeau_bengio_{name}": getattr(test, name) for name in ("t", "p", "low", "high")} if test else {}


def _in_fold(metric: str, one: ArmScores, fold: int) -> Influence:
    try:
        return influence_of(metric, one.of_fold(fold))
    except NotKnown as unknown:
        raise NotKnown(f"no resampled t-test, in fold {fold}: {unknown}") from None


def letters(arms: Sequence[ArmScores], judged_by: str) -> list[str]:
    """The tie groups of the arms: arms that share a letter do not differ significantly, by Holm over all pairs."""
    try:
        estimates = [influence_of(judged_by, one).mean for one in arms]
    except NotKnown:
        return [""] * len(arms)
    pairs = [(first, second) for second in range(len(arms)) for first in range(second)]
    p_values = []
    for first, second in pairs:
        one, other = matched(arms[first], arms[second])
        p_values.append(_chance(one, other, judged_by) if one.repeats else 1.0)
    differ = [[False] * len(arms) for _ in arms]
    for (first, second), p_holm in zip(pairs, holm(p_values), strict=True):
        differ[first][second] = differ[second][first] = p_holm < ALPHA
    order = sorted(range(len(arms)), key=lambda place: -estimates[place])
    return tie_groups(order, differ)


def _chance(one: ArmScores, other: ArmScores, judged_by: str) -> float:
    """The p-value for no difference; 1 if the luck of training is unknown."""
    difference = difference_of(judged_by, one, other)
    return 1.0 if difference.training is None else difference.p_value()
