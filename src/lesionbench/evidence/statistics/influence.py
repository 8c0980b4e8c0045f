"""How far each image pulls a metric: what every analytic interval and every paired comparison is computed from.

A metric's pulls are its influence values: they sum to zero over the images, and the sum of their squares, image by
image or group by group, is the metric's variance. Those of a rate are its binomial terms, those of an AUC DeLong's
structural components (DeLong et al. 1988; summed over groups: Obuchowski 1997). A difference of two arms over the same
images has the difference of their pulls, and the mean over repeats the mean, so pairing needs no covariances.
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
class Pulls:
    """A metric in R repeats over N images: estimates float64 (R,), pulls float64 (R, N)."""

    estimates: NDArray[np.float64]
    pulls: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The metric, the mean over repeats."""
        return float(self.estimates.mean())

    def times(self, weight: float) -> Pulls:
        """Of this metric times a number."""
        return Pulls(weight * self.estimates, weight * self.pulls)

    def plus(self, other: Pulls) -> Pulls:
        """Of the sum of two metrics over the same images and repeats."""
        return Pulls(self.estimates + other.estimates, self.pulls + other.pulls)

    def minus(self, other: Pulls) -> Pulls:
        """Of the difference of two metrics over the same images and repeats."""
        return self.plus(other.times(-1.0))


@lru_cache(maxsize=256)
def pulls_of(metric: str, one: ArmScores) -> Pulls:
    """The pulls of one of the METRICS, as the leaderboard defines it.

    Raises NotKnown when a class has no image, or when all its images are of one group: then nothing is repeated.
    """
    return (_TWO_CLASSES if one.positive is not None else _MORE_CLASSES)[metric](one)


def _right(one: ArmScores) -> NDArray[np.float64]:
    """1 where the predicted class is the true one: (R, N)."""
    return np.stack([predicted_labels(scores) == one.labels for scores in one.scores]).astype(np.float64)


def small_sample(one: ArmScores, among: NDArray[np.bool_], what: str) -> float:
    """The factor of pulls for variances over few groups, sqrt(G / (G - 1)); raises NotKnown without two groups."""
    groups = len(np.unique(one.groups[among]))
    if groups < 2:
        images = int(among.sum())
        found = f"all {images} are of one group" if images else "there is none"
        raise NotKnown(f"test images of two groups or more are needed {what}, but {found}")
    return float(np.sqrt(groups / (groups - 1)))


def _of_class(one: ArmScores, label: int) -> str:
    return f"in class {one.classes[label]!r}"


def _rate(one: ArmScores, among: NDArray[np.bool_], hits: NDArray[np.float64], what: str) -> Pulls:
    """The share of hits (R, N) among some images (N,)."""
    factor = small_sample(one, among, what)
    share = hits[:, among].mean(axis=1)
    return Pulls(share, np.where(among, hits - share[:, None], 0.0) * factor / among.sum())


def _recall(one: ArmScores, label: int) -> Pulls:
    return _rate(one, one.labels == label, _right(one), _of_class(one, label))


def _specificity(one: ArmScores, label: int) -> Pulls:
    """The share of the images of all other classes that are not taken for this one."""
    rejected = np.stack([predicted_labels(scores) != label for scores in one.scores]).astype(np.float64)
    return _rate(one, one.labels != label, rejected, f"outside class {one.classes[label]!r}")


def _accuracy(one: ArmScores) -> Pulls:
    return _rate(one, np.ones(len(one.labels), bool), _right(one), "in the test part")


def _weighted(one: ArmScores, of_class: Callable[[ArmScores, int], Pulls], weights: NDArray[np.float64]) -> Pulls:
    """The mean over classes with these weights (K,), which sum to 1."""
    parts = [of_class(one, label).times(float(weight)) for label, weight in enumerate(weights)]
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total


def _sizes(one: ArmScores) -> NDArray[np.float64]:
    return np.bincount(one.labels, minlength=len(one.classes)) / len(one.labels)


def _balanced_accuracy(one: ArmScores) -> Pulls:
    return _weighted(one, _recall, np.full(len(one.classes), 1 / len(one.classes)))


def auc_pulls(one: ArmScores, label: int) -> Pulls:
    """The AUC of one class against the rest: DeLong's structural components, tied scores counted half."""
    positive = one.labels == label
    factors = (
        small_sample(one, positive, _of_class(one, label)),
        small_sample(one, ~positive, f"outside class {one.classes[label]!r}"),
    )
    estimates, pulls = np.empty(len(one.scores)), np.zeros(one.scores.shape[:2])
    for repeat, scores in enumerate(one.scores[:, :, label]):
        above, below = _placements(scores[positive], scores[~positive])
        estimates[repeat] = above.mean()
        pulls[repeat, positive] = (above - above.mean()) * factors[0] / len(above)
        pulls[repeat, ~positive] = (below - below.mean()) * factors[1] / len(below)
    return Pulls(estimates, pulls)


def _placements(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of negatives below each positive (V10), and of positives above each negative (V01); ties count half."""

    def below(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.sort(others)
        left, right = np.searchsorted(order, scores, "left"), np.searchsorted(order, scores, "right")
        return (left + right) / (2 * len(others))

    return below(positives, negatives), 1 - below(negatives, positives)


def _f1(one: ArmScores, label: int) -> Pulls:
    """2 hits over 2 hits, misses and false alarms, of one class against the rest (the delta method)."""
    true = one.labels == label
    factor = small_sample(one, true, _of_class(one, label))
    taken = np.stack([predicted_labels(scores) == label for scores in one.scores])  # (R, N)
    doubled = 2.0 * (taken & true)
    counted = taken.astype(np.float64) + true
    whole = counted.sum(axis=1, keepdims=True)
    share = doubled.sum(axis=1, keepdims=True) / whole
    return Pulls(share[:, 0], (doubled - share * counted) * factor / whole)


def _positive(one: ArmScores) -> int:
    assert one.positive is not None
    return one.positive


_TWO_CLASSES: dict[str, Callable[[ArmScores], Pulls]] = {
    "sensitivity": lambda one: _recall(one, _positive(one)),
    "specificity": lambda one: _recall(one, 1 - _positive(one)),
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "auc": lambda one: auc_pulls(one, _positive(one)),
    "f1": lambda one: _f1(one, _positive(one)),
}
_MORE_CLASSES: dict[str, Callable[[ArmScores], Pulls]] = {
    "sensitivity": _accuracy,  # weighted by class sizes it is the accuracy
    "specificity": lambda one: _weighted(one, _specificity, _sizes(one)),
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "auc": lambda one: _weighted(one, auc_pulls, _sizes(one)),
    "f1": lambda one: _weighted(one, _f1, _sizes(one)),
}
