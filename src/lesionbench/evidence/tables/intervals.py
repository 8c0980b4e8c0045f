"""95% intervals of every metric of every arm, and the spread over repeats, which is another thing, apart.

An interval speaks of which patients were tested. Rates: Wilson (1927), with as many images as the groups are worth.
AUC of two classes: DeLong (1988) on the logit scale (Pepe 2003). Everything else: the patient bootstrap.
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
PREFERRED = ("wilson", "delong", "bca", "percentile")  # of the methods that give an interval, the leaderboard's


def wilson(share: float, images: float) -> Interval:
    """The Wilson interval of a share of so many images; neither need be whole."""
    low, high = proportion_confint(share * images, images, alpha=0.05, method="wilson")
    return max(float(low), 0.0), min(float(high), 1.0)


def worth(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """A rate, the mean over repeats, and of how many independent images its variance is.

    hits (R, n): whether each of n images was right in each of R repeats.  groups (n,).
    As many as there are images when each is a group of its own and there is one repeat; fewer where a group has several
    (the design effect: Kish 1965), more where repeats differ. Without a variance, the number of groups.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    right = hits.mean(axis=0)
    share = float(right.mean())
    by_group = np.bincount(group_of, right - share) / len(right)
    variance = float((by_group**2).sum())
    return share, share * (1 - share) / variance if variance else float(len(names))


def rate_interval(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """The Wilson interval of a rate that is the mean over repeats; (None, None) without images."""
    return wilson(*worth(hits, groups)) if len(groups) else (None, None)


def _hits(metric: str, one: ArmScores) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether the images that a rate is about were right, (R, n), and their groups; raises NotKnown without images."""
    among = np.ones(len(one.labels), bool)
    if metric != "accuracy" and one.positive is not None:
        among = (one.labels == one.positive) == (metric == "sensitivity")
    if not among.any():
        raise NotKnown(f"no test image is there for the {metric}")
    return one.right()[:, among], one.groups[among]


def logit_interval(area: float, error: float) -> Interval:
    """The interval of an AUC that ends inside 0 and 1; raises NotKnown at 0 and 1, where a logit has no end."""
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
    """Raises NotKnown with the reason where there is none."""
    if method == "wilson":
        return wilson(*worth(*_hits(metric, one)))
    if method == "delong":
        area = two_way(influence_of(metric, one), one)
        return logit_interval(area.estimate, float(np.sqrt(area.patients)))
    found = resampled(metric, one, draws)
    return found.percentile() if method == "percentile" else found.bca()


def interval_rows(arms: Sequence[ArmScores], leaderboard: Sequence[Row], draws: Draws | None) -> list[Row]:
    """A row an arm, metric and method, with the arm's columns and the INTERVALS_COLUMNS.

    arms: in the order of the leaderboard's rows that have complete repeats.  draws: None where nothing can be drawn.
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
    """The leaderboard's rows with INTERVAL_COLUMNS and SPREAD_COLUMNS: each metric's preferred interval."""
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
    """The resamples that all arms share; None without arms, or where all images are of one group."""
    try:
        return Draws.of(arms[0].groups, SEED) if arms else None
    except NotKnown:
        return None
