"""Influence values: how far each test image moves a metric. All analytic intervals and paired comparisons use them.

The influence values of a metric sum to zero over the images. The sum of their squares, image by image or group by
group, is the variance of the metric. For a rate they are its binomial terms, for an AUC they are DeLong's structural
components (DeLong et al. 1988; summed over groups: Obuchowski 1997). The difference of two arms on the same images has
the difference of their influence values, and the mean over repeats has the mean of them, so pairing needs no
covariances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import NotKnown
from lesionbench.pipeline.metrics import predicted_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores


@dataclass(frozen=True, eq=False)
class Influence:
    """A metric in R repeats over N images: its estimates, float64 (R,), and its influence values, float64 (R, N)."""

    estimates: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The metric, the mean over repeats."""
        return float(self.estimates.mean())

    def times(self, weight: float) -> Influence:
        """The influence values of this metric times a number."""
        return Influence(weight * self.estimates, weight * self.values)

    def plus(self, other: Influence) -> Influence:
        """The influence values of the sum of two metrics over the same images and repeats."""
        return Influence(self.estimates + other.estimates, self.values + other.values)

    def minus(self, other: Influence) -> Influence:
        """The influence values of the difference of two metrics over the same images and repeats."""
        return self.plus(other.times(-1.0))


@lru_cache(maxsize=256)
def influence_of(metric: str, one: ArmScores) -> Influence:
    """The influence values of one of the METRICS, as the leaderboard defines it.

    Raises NotKnown if a class has no image, or if all its images are of one group: then the variance is unknown.
    """
    return (_TWO_CLASSES if one.positive is not None else _MORE_CLASSES)[metric](one)


def small_sample_factor(one: ArmScores, among: NDArray[np.bool_], what: str) -> float:
    """sqrt(G / (G - 1)), which corrects influence values for a small number of groups G; raises NotKnown if G < 2."""
    groups = len(np.unique(one.groups[among]))
    if groups < 2:
        images = int(among.sum())
        found = f"all {images} are of one group" if images else "there is none"
        raise NotKnown(f"test images of two groups or more are needed {what}, but {found}")
    return float(np.sqrt(groups / (groups - 1)))


def _of_class(one: ArmScores, label: int) -> str:
    return f"in class {one.classes[label]!r}"


def _rate(one: ArmScores, among: NDArray[np.bool_], hits: NDArray[np.float64], what: str) -> Influence:
    """The share of hits (R, N) among some images (N,)."""
    factor = small_sample_factor(one, among, what)
    share = hits[:, among].mean(axis=1)
    return Influence(share, np.where(among, hits - share[:, None], 0.0) * factor / among.sum())


def _recall(one: ArmScores, label: int) -> Influence:
    return _rate(one, one.labels == label, one.right().astype(np.float64), _of_class(one, label))


def _specificity(one: ArmScores, label: int) -> Influence:
    """The share of the images of all other classes that are not predicted to be of this class."""
    rejected = np.stack([predicted_labels(scores) != label for scores in one.scores]).astype(np.float64)
    return _rate(one, one.labels != label, rejected, f"outside class {one.classes[label]!r}")


def _accuracy(one: ArmScores) -> Influence:
    return _rate(one, np.ones(len(one.labels), bool), one.right().astype(np.float64), "in the test part")


def _weighted(
    one: ArmScores, of_class: Callable[[ArmScores, int], Influence], weights: NDArray[np.float64]
) -> Influence:
    """The weighted mean over classes; the weights (K,) sum to 1."""
    parts = [of_class(one, label).times(float(weight)) for label, weight in enumerate(weights)]
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total


def _sizes(one: ArmScores) -> NDArray[np.float64]:
    return np.bincount(one.labels, minlength=len(one.classes)) / len(one.labels)


def _balanced_accuracy(one: ArmScores) -> Influence:
    return _weighted(one, _recall, np.full(len(one.classes), 1 / len(one.classes)))


def _auc(one: ArmScores, label: int) -> Influence:
    """The AUC of one class against the rest, with DeLong's structural components; tied scores count half."""
    positive = one.labels == label
    factors = (
        small_sample_factor(one, positive, _of_class(one, label)),
        small_sample_factor(one, ~positive, f"outside class {one.classes[label]!r}"),
    )
    estimates, values = np.empty(len(one.scores)), np.zeros(one.scores.shape[:2])
    for repeat, scores in enumerate(one.scores[:, :, label]):
        above, below = _placements(scores[positive], scores[~positive])
        estimates[repeat] = above.mean()
        values[repeat, positive] = (above - above.mean()) * factors[0] / len(above)
        values[repeat, ~positive] = (below - below.mean()) * factors[1] / len(below)
    return Influence(estimates, values)


def _placements(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares of negatives below each positive (V10) and of positives above each negative (V01); ties count half."""

    def below(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.sort(others)
        left, right = np.searchsorted(order, scores, "left"), np.searchsorted(order, scores, "right")
        return (left + right) / (2 * len(others))

    return below(positives, negatives), 1 - below(negatives, positives)


def _f1(one: ArmScores, label: int) -> Influence:
    """The F1 score of one class against the rest: 2 hits over 2 hits, misses and false alarms (delta method)."""
    true = one.labels == label
    factor = small_sample_factor(one, true, _of_class(one, label))
    predicted = np.stack([predicted_labels(scores) == label for scores in one.scores])  # (R, N)
    doubled = 2.0 * (predicted & true)
    counted = predicted.astype(np.float64) + true
    whole = counted.sum(axis=1, keepdims=True)
    share = doubled.sum(axis=1, keepdims=True) / whole
    return Influence(share[:, 0], (doubled - share * counted) * factor / whole)


def _positive(one: ArmScores) -> int:
    assert one.positive is not None
    return one.positive


_TWO_CLASSES: dict[str, Callable[[ArmScores], Influence]] = {
    "sensitivity": lambda one: _recall(one, _positive(one)),
    "specificity": lambda one: _recall(one, 1 - _positive(one)),
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "auc": lambda one: _auc(one, _positive(one)),
    "f1": lambda one: _f1(one, _positive(one)),
}
_MORE_CLASSES: dict[str, Callable[[ArmScores], Influence]] = {
    "sensitivity": _accuracy,  # weighted by class sizes, the recall is the accuracy
    "specificity": lambda one: _weighted(one, _specificity, _sizes(one)),
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "auc": lambda one: _weighted(one, _auc, _sizes(one)),
    "f1": lambda one: _weighted(one, _f1, _sizes(one)),
}
