"""The patient bootstrap: whole groups are resampled with all their images, and every arm uses the same resamples.

Efron and Tibshirani 1993, chapter 14 (percentile and BCa); Field and Welsh 2007 (clusters). We do not use scipy's
bootstrap: it draws new resamples in each call, and one resample without an image of a class leaves it without an
interval. Here all arms share their resamples, so differences are paired, and a few such resamples are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from lesionbench.errors import NotKnown
from lesionbench.pipeline.metrics import predicted_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores

    Values = NDArray[np.float64]

RESAMPLES = 2000
ENDS = (0.025, 0.975)  # of a 95% interval
MOST_UNDEFINED = (
    0.05  # of the resamples; with more, the interval would describe only the resamples that have every class
)


@dataclass(frozen=True, eq=False)
class Draws:
    """How often each group is in each resample, float64 (B, G), and with each group left out in turn, (G, G).

    group_of: the position of every image's group, int64 (N,).
    """

    counts: Values
    left_out: Values
    group_of: NDArray[np.int64]

    @classmethod
    def of(cls, groups: NDArray[np.int64], seed: int, resamples: int = RESAMPLES) -> Draws:
        """Resamples of these groups (N,), with replacement; raises NotKnown if there is only one group."""
        names, group_of = np.unique(groups, return_inverse=True)
        total = len(names)
        if total < 2:
            raise NotKnown("a bootstrap draws from two groups or more, but all test images are of one")
        counts = np.random.default_rng(seed).multinomial(total, np.full(total, 1 / total), resamples)
        return cls(counts.astype(np.float64), 1.0 - np.eye(total), group_of)


@dataclass(frozen=True, eq=False)
class Resampled:
    """A number, its values over the resamples (B,) and without each group (G,); NaN where it is undefined."""

    estimate: float
    values: Values
    without: Values

    def minus(self, other: Resampled) -> Resampled:
        """The paired difference of two numbers over the same resamples."""
        return Resampled(self.estimate - other.estimate, self.values - other.values, self.without - other.without)

    def percentile(self) -> tuple[float, float]:
        """The 95% percentile interval; raises NotKnown if too many resamples have no value."""
        low, high = np.quantile(self._known(), ENDS)
        return float(low), float(high)

    def bca(self) -> tuple[float, float]:
        """The 95% bias-corrected and accelerated interval (Efron 1987); raises NotKnown as `percentile` does."""
        values = self._known()
        without = self.without[~np.isnan(self.without)]
        below = ((values < self.estimate).mean() + (values <= self.estimate).mean()) / 2  # ties count half
        deviations = without.mean() - without
        scale = float((deviations**2).sum()) ** 1.5
        if not 0 < below < 1 or not scale:
            raise NotKnown("a BCa interval needs resamples on both sides of the estimate, but all are on one")
        bias, acceleration = ndtri(below), float((deviations**3).sum()) / (6 * scale)
        tail = ndtri(ENDS)
        levels = ndtr(bias + (bias + tail) / (1 - acceleration * (bias + tail)))
        low, high = np.quantile(values, levels)
        return float(low), float(high)

    def _known(self) -> Values:
        known = self.values[~np.isnan(self.values)]
        share = 1 - len(known) / len(self.values)
        if share > MOST_UNDEFINED or np.isnan(self.estimate):
            raise NotKnown(f"{100 * share:.0f} % of the bootstrap's resamples have no image of a class: too few groups")
        if known.min() == known.max():
            raise NotKnown("every resample of the bootstrap gives the same value, which says nothing of other patients")
        return known


@lru_cache(maxsize=64)  # used for each method of an interval, and the baseline's for each arm
def resampled(metric: str, one: ArmScores, draws: Draws) -> Resampled:
    """One of the METRICS, the mean over repeats, over these resamples."""
    value = _value_of(metric, one, draws.group_of)
    everything = np.ones((1, draws.counts.shape[1]))
    return Resampled(float(value(everything)[0]), value(draws.counts), value(draws.left_out))


def _value_of(metric: str, one: ArmScores, group_of: NDArray[np.int64]) -> Callable[[Values], Values]:
    """The metric as a function of how often each group is counted: (B, G) to (B,)."""
    if metric == "auc":
        return lambda counts: _auc(one, counts, group_of)
    matrices = [_by_group(one, scores, group_of, len(one.classes)) for scores in one.scores]
    return lambda counts: _mean([_of_confusion(metric, counts @ matrix, one) for matrix in matrices])


def _mean(values: list[Values]) -> Values:
    found: Values = np.mean(values, axis=0)
    return found


def _by_group(one: ArmScores, scores: Values, group_of: NDArray[np.int64], classes: int) -> Values:
    """The confusion matrix of each group as a row, the true class first: (G, K * K)."""
    matrix = np.zeros((int(group_of.max()) + 1, classes * classes))
    np.add.at(matrix, (group_of, one.labels * classes + predicted_labels(scores)), 1.0)
    return matrix


def _of_confusion(metric: str, flat: Values, one: ArmScores) -> Values:
    """A metric from confusion matrices (B, K * K), as the leaderboard defines it: (B,), NaN where undefined."""
    classes = len(one.classes)
    matrix = flat.reshape(-1, classes, classes)
    size, taken, hits = matrix.sum(axis=2), matrix.sum(axis=1), np.einsum("bkk->bk", matrix)  # (B, K)
    total = size.sum(axis=1, keepdims=True)
    recall = _ratio(hits, size)
    if metric == "accuracy":
        return _ratio(hits.sum(axis=1), total[:, 0])
    if metric == "balanced_accuracy":
        balanced: Values = recall.mean(axis=1)
        return balanced
    of_class = {
        "sensitivity": recall,
        "specificity": _ratio(total - size - taken + hits, total - size),
        "f1": _ratio(2 * hits, size + taken),
    }[metric]
    if one.positive is not None:
        return of_class[:, one.positive]
    return _ratio((of_class * size).sum(axis=1), total[:, 0])


def _auc(one: ArmScores, counts: Values, group_of: NDArray[np.int64]) -> Values:
    """The mean AUC over repeats, (B,); with three classes or more, each against the rest, weighted by class sizes."""
    if one.positive is not None:
        return _one_auc(one, one.positive, counts, group_of)
    labels = range(len(one.classes))
    areas = np.array([_one_auc(one, label, counts, group_of) for label in labels])  # (K, B)
    sizes = np.array([counts[:, group_of[one.labels == label]].sum(axis=1) for label in labels])
    return _ratio((areas * sizes).sum(axis=0), sizes.sum(axis=0))


def _one_auc(one: ArmScores, label: int, counts: Values, group_of: NDArray[np.int64]) -> Values:
    """The share of positive-negative pairs in which the positive scores higher; a tie counts half."""
    positive = one.labels == label
    scores = one.scores[:, :, label]
    above, below = scores[:, positive, None], scores[:, None, ~positive]
    in_order = np.mean(
        [(high > low) + (high == low) / 2 for high, low in zip(above, below, strict=True)], axis=0
    )  # (P, Q)
    positives, negatives = counts[:, group_of[positive]], counts[:, group_of[~positive]]  # (B, P), (B, Q)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return _ratio(((positives @ in_order) * negatives).sum(axis=1), pairs)


def _ratio(part: Values, whole: Values) -> Values:
    shares: Values = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares
