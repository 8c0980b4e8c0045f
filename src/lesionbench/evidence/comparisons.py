"""comparisons.csv: every arm against the baseline, paired image by image, with a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.errors import NotKnown
from lesionbench.evidence.bootstrap import resampled
from lesionbench.evidence.controls import is_control
from lesionbench.evidence.paired import mcnemar, nadeau_bengio
from lesionbench.evidence.pulls import auc_pulls, pulls_of
from lesionbench.evidence.scores import matched
from lesionbench.evidence.two_way import two_way
from lesionbench.evidence.verdict import ALPHA, holm, judge, tie_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.bootstrap import Draws
    from lesionbench.evidence.scores import ArmScores
    from lesionbench.evidence.two_way import TwoWay
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
    """How arms are judged: against which baseline, by which metric, and what difference is too small to matter.

    train, test: how many images a fit learns from and is tested on, for the corrected resampled t-test.
    """

    baseline: str
    judged_by: str
    margin: float
    train: int
    test: int


def find_baselines(arms: Sequence[ArmScores], name: str) -> dict[str, ArmScores]:
    """The baseline of every classifier whose baseline is done."""
    return {str(one.arm["classifier"]): one for one in arms if one.name == name}


def comparison_rows(
    arms: Sequence[ArmScores], baselines: dict[str, ArmScores], judging: Judging, draws: Draws | None
) -> list[Row]:
    """A row an arm that is no baseline: the arm's columns and the COMPARISONS_COLUMNS, sorted as the leaderboard."""
    rows: list[Row] = []
    differences: list[TwoWay | None] = []
    for one in arms:
        if one.name == judging.baseline:
            continue
        row, difference = _compared(one, baselines.get(str(one.arm["classifier"])), judging, draws)
        rows.append(row)
        differences.append(difference)
    for family in {row["family"] for row in rows}:
        of_family = [place for place, row in enumerate(rows) if row["family"] == family and differences[place]]
        adjusted = holm([float(str(rows[place]["p"])) for place in of_family])
        for place, p_holm in zip(of_family, adjusted, strict=True):
            difference = differences[place]
            assert difference is not None
            judged = judge(difference, p_holm, judging.margin)
            rows[place] |= {"p_holm": p_holm, "verdict": judged.verdict, "reason": judged.reason}
            rows[place]["test_groups_needed"] = judged.groups_needed
    for row in rows:
        row |= {
            column: f"{row[column]:.3g}" for column in P_COLUMNS if row[column] is not None
        }  # 4 decimals are too few
    return rows


def _compared(
    one: ArmScores, baseline: ArmScores | None, judging: Judging, draws: Draws | None
) -> tuple[Row, TwoWay | None]:
    row: Row = {**one.arm, **dict.fromkeys(COMPARISONS_COLUMNS), "baseline": judging.baseline}
    row |= {"judged_by": judging.judged_by, "verdict": "cannot tell"}
    row["family"] = "control" if is_control(str(one.arm["augmenter"])) else "augmenter"
    if baseline is None:
        return row | {"seeds": 0, "reason": f"the baseline {judging.baseline} is not done"}, None
    one, baseline = matched(one, baseline)
    if not one.repeats:
        return row | {"seeds": 0, "reason": f"no seed is done in both the arm and {judging.baseline}"}, None
    row |= {"seeds": len(one.repeats), "n_test": len(one.labels), "n_groups": len(np.unique(one.groups))}
    reasons: list[str] = []
    for side in SIDES:
        row |= _side(side, one, baseline, draws, reasons)
    row |= _auc(one, baseline, reasons)
    row |= _resampled_t(one, baseline, judging)
    try:
        pulls = pulls_of(judging.judged_by, one).minus(pulls_of(judging.judged_by, baseline))
    except NotKnown as unknown:
        return row | {"reason": str(unknown)}, None
    difference = two_way(pulls, one)
    row |= {"difference": difference.estimate, "standard_error": difference.error}
    row |= {"patients_error": math.sqrt(difference.patients), "p": difference.p_value()}
    row["training_error"] = None if difference.training is None else math.sqrt(difference.training)
    row["low"], row["high"] = difference.interval()
    return row, difference


def _side(side: str, one: ArmScores, baseline: ArmScores, draws: Draws | None, reasons: list[str]) -> Row:
    """The difference in one rate with its paired bootstrap interval, and McNemar's test on its images."""
    found: Row = {}
    try:
        if draws is None:
            raise NotKnown("all test images are of one group")
        difference = resampled(side, one, draws).minus(resampled(side, baseline, draws))
        found[f"{side}_difference"] = difference.estimate
        found[f"{side}_low"], found[f"{side}_high"] = difference.percentile()
    except NotKnown as unknown:
        reasons.append(str(unknown))
    among = _images_of(side, one)
    if among is not None and among.any():
        test = mcnemar(one, baseline, among)
        found |= {f"{side}_only_arm_right": test.b, f"{side}_only_baseline_right": test.c, f"{side}_mcnemar_p": test.p}
    return found


def _images_of(side: str, one: ArmScores) -> Any:
    """The images on which one side's answers are right or wrong; with three classes or more, specificity has none."""
    if one.positive is None:
        return np.ones(len(one.labels), bool) if side == "sensitivity" else None
    return (one.labels == one.positive) == (side == "sensitivity")


def _auc(one: ArmScores, baseline: ArmScores, reasons: list[str]) -> Row:
    """The difference in AUC with DeLong's interval and p-value: of the test images alone, as DeLong has it."""
    try:
        if one.positive is not None:
            pulls = auc_pulls(one, one.positive).minus(auc_pulls(baseline, one.positive))
        else:
            pulls = pulls_of("auc", one).minus(pulls_of("auc", baseline))
    except NotKnown as unknown:
        reasons.append(str(unknown))
        return {}
    return delong(two_way(pulls, one))


def delong(difference: TwoWay) -> Row:
    """DeLong's normal test: the training's part of the variance is left out."""
    from scipy.stats import norm

    error = float(np.sqrt(difference.patients))
    half = norm.ppf(0.975) * error
    p_value = float(2 * norm.sf(abs(difference.estimate) / error)) if error else float(not difference.estimate)
    ends = {"auc_low": difference.estimate - half, "auc_high": difference.estimate + half}
    return {"auc_difference": difference.estimate, **ends, "auc_delong_p": p_value}


def _resampled_t(one: ArmScores, baseline: ArmScores, judging: Judging) -> Row:
    """Nadeau and Bengio's test over every fold and repeat; empty where a fold has no image of a class."""
    differences = []
    for fold in np.unique(one.folds):
        try:
            of_arm, of_baseline = (pulls_of(judging.judged_by, part.of_fold(int(fold))) for part in (one, baseline))
        except NotKnown:
            return {}
        differences += (of_arm.estimates - of_baseline.estimates).tolist()
    test = nadeau_bengio(differences, judging.train, judging.test)
    if test is None:
        return {}
    return {f"nadeau_bengio_{name}": getattr(test, name) for name in ("t", "p", "low", "high")}


def letters(arms: Sequence[ArmScores], judged_by: str) -> list[str]:
    """The tie groups of arms: those that share a letter cannot be told apart, by Holm over all pairs."""
    try:
        pulls = [pulls_of(judged_by, one) for one in arms]
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
    order = sorted(range(len(arms)), key=lambda place: -pulls[place].mean)
    return tie_groups(order, differ)


def _chance(one: ArmScores, other: ArmScores, judged_by: str) -> float:
    """The p-value of no difference; 1 where the luck of training is not known."""
    difference = two_way(pulls_of(judged_by, one).minus(pulls_of(judged_by, other)), one)
    return 1.0 if difference.training is None else difference.p_value()
