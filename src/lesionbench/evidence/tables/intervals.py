"""95% intervals of every metric of every arm and, separately, the spread over repeats.

An interval shows the uncertainty from the choice of test patients. Rates: Wilson (1927) with the effective number of
images. AUC of two classes: DeLong (1988) on the logit scale (Pepe 2003). Everything else: the patient bootstrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri
from statsmodels.stats.proportion import proportion_confint

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.bootstrap import Draws, resampled
from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.two_way import two_way
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.pipeline.leaderboard import Row

Interval = tuple[float, float]

INTERVAL_COLUMNS = tuple(f"{metric}_{end}" for metric in METRICS for end in ("low", "high"))
SPREAD_COLUMNS = tuple(f"{metric}_seed_sd" for metric in METRICS)
INTERVALS_COLUMNS = ("metric", "estimate", "method", "low", "high", "n_test", "n_groups", "seeds", "seed_sd", "reason")
SEED = 20_180_306  # of the resamples: fixed, so that the same predictions give the same tables
PREFERRED = ("wilson", "delong", "bca", "percentile")  # the leaderboard takes the first method that gives an interval


def wilson(share: float, images: float) -> Interval:
    """The Wilson interval of a share of a number of images, which need not be whole."""
    low, high = proportion_confint(share * images, images, alpha=0.05, method="wilson")
    return max(float(low), 0.0), min(float(high), 1.0)


def effective_images(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """A rate, the mean over repeats, and its effective number of images: as many independent images have its variance.

    hits (R, n): whether each of n images was right in each of R repeats.  groups (n,).
    The effective number is the number of images if each is its own group and there is one repeat. It is smaller if
    groups have several images (the design effect, Kish 1965), and larger if repeats differ. If the variance is 0, it is
    the number of groups.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    right = hits.mean(axis=0)
    share = float(right.mean())
    by_group = np.bincount(group_of, right - share) / len(right)
    variance = float((by_group**2).sum())
    return share, share * (1 - share) / variance if variance else float(len(names))


def rate_interval(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """The Wilson interval of a rate that is the mean over repeats; (None, None) without images."""
    return wilson(*effective_images(hits, groups)) if len(groups) else (None, None)


def _hits(metric: str, one: ArmScores) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether the images that a rate counts were right, (R, n), and their groups; raises NotKnown without images."""
    among = np.ones(len(one.labels), bool)
    if metric != "accuracy" and one.positive is not None:
        among = (one.labels == one.positive) == (metric == "sensitivity")
    if not among.any():
        raise NotKnown(f"no test image is there for the {metric}")
    return one.right()[:, among], one.groups[among]


def logit_interval(area: float, error: float) -> Interval:
    """The interval of an AUC on the logit scale, inside (0, 1); raises NotKnown for an AUC of 0 or 1."""
    if not 0 < area < 1:
        raise NotKnown(f"an AUC of {area:.0f} has no DeLong interval: its variance is 0")
    half = ndtri(0.975) * error / (area * (1 - area))
    logit = np.log(area / (1 - area))
    return float(1 / (1 + np.exp(half - logit))), float(1 / (1 + np.exp(-half - logit)))


def _methods(metric: str, one: ArmScores) -> tuple[str, ...]:
    rates = ("sensitivity", "specificity", "accuracy") if one.positive is not None else ("sensitivity", "accuracy")
    if metric in rates:
        return ("wilson",)
    if metric == "auc" and one.positive is not None:
        return ("delong",)
    return ("percentile", "bca")


def _interval(metric: str, method: str, one: ArmScores, draws: Draws) -> Interval:
    """The interval; raises NotKnown with the reason if there is none."""
    if method == "wilson":
        return wilson(*effective_images(*_hits(metric, one)))
    if method == "delong":
        area = two_way(influence_of(metric, one), one)
        return logit_interval(area.estimate, float(np.sqrt(area.patients)))
    found = resampled(metric, one, draws)
    return found.percentile() if method == "percentile" else found.bca()


def interval_rows(arms: Sequence[ArmScores], leaderboard: Sequence[Row], draws: Draws | None) -> list[Row]:
    """One row for each arm, metric and method, with the ARM_COLUMNS and the INTERVALS_COLUMNS.

    arms: in the order of the leaderboard's rows that have complete repeats.  draws: None if there is one group only.
    """
    complete = [row for row in leaderboard if row["seeds"]]
    return [
        {**one.arm.row(), **_described(metric, one, row), **_ends(metric, method, one, draws)}
        for one, row in zip(arms, complete, strict=True)
        for metric in METRICS
        for method in _methods(metric, one)
    ]


def _described(metric: str, one: ArmScores, row: Row) -> Row:
    return {
        "metric": metric,
        "estimate": row[metric],
        "n_test": len(one.labels),
        "n_groups": len(np.unique(one.groups)),
        "seeds": len(one.repeats),
        "seed_sd": _seed_sd(metric, one),
    }


def _seed_sd(metric: str, one: ArmScores) -> float | None:
    """The standard deviation over repeats, each pooled over its folds."""
    if len(one.repeats) < 2:
        return None
    try:
        return float(influence_of(metric, one).estimates.std(ddof=1))
    except NotKnown:
        return None


def _ends(metric: str, method: str, one: ArmScores, draws: Draws | None) -> Row:
    try:
        if draws is None:
            raise NotKnown("all test images are of one group, so nothing says how another would do")
        low, high = _interval(metric, method, one, draws)
    except NotKnown as unknown:
        return {"method": method, "low": None, "high": None, "reason": str(unknown)}
    return {"method": method, "low": low, "high": high, "reason": ""}


def with_intervals(leaderboard: Sequence[Row], intervals: Sequence[Row]) -> list[Row]:
    """The leaderboard's rows with the INTERVAL_COLUMNS and SPREAD_COLUMNS, from each metric's preferred method."""
    found: dict[ArmKey, dict[str, Row]] = {}
    for row in sorted(intervals, key=lambda row: -PREFERRED.index(str(row["method"]))):
        of_arm = found.setdefault(ArmKey.of(row), {})
        if row["low"] is not None or str(row["metric"]) not in of_arm:
            of_arm[str(row["metric"])] = row
    return [{**row, **_columns(found.get(ArmKey.of(row), {}))} for row in leaderboard]


def _columns(of_arm: dict[str, Row]) -> Row:
    columns: Row = {}
    for metric in METRICS:
        row = of_arm.get(metric, {})
        columns |= {f"{metric}_low": row.get("low"), f"{metric}_high": row.get("high")}
        columns[f"{metric}_seed_sd"] = row.get("seed_sd")
    return columns


def draws_of(arms: Sequence[ArmScores]) -> Draws | None:
    """The resamples that all arms share; None without arms, or if all images are of one group."""
    try:
        return Draws.of(arms[0].groups, SEED) if arms else None
    except NotKnown:
        return None
