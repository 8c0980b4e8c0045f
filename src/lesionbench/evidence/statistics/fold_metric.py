"""A metric of one fold's test images, and how much of its variance is due to which images these are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import NotKnown, SettingsError
from lesionbench.evidence.statistics.influence import pulls_of
from lesionbench.pipeline.metrics import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores


def default_metric(classes: int) -> str:
    """The AUC of two classes, the accuracy of more."""
    return "auc" if classes == 2 else "accuracy"


def check_metric(metric: str) -> None:
    """Raise SettingsError unless the leaderboard has this metric."""
    if metric not in METRICS:
        raise SettingsError(f"the variance of one of {', '.join(METRICS)} is taken apart, not of {metric!r}")


def fold_metric(one: ArmScores, fold: int, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The metric of one fold's test images in each repeat, (R,), and how far each of its groups pulls it, (R, G).

    Raises NotKnown when the fold lacks a class or has too few groups of it.
    """
    part = one.of_fold(fold)
    try:
        found = pulls_of(metric, part)
    except NotKnown as unknown:
        raise NotKnown(f"fold {fold}: {unknown}") from None
    groups, group = np.unique(part.groups, return_inverse=True)
    return found.estimates, found.pulls @ np.eye(len(groups))[group]


def image_variance(pulls: NDArray[np.float64]) -> float:
    """The variance of a metric due to which images are tested, without what the seeds add to it.

    pulls: (S, G), of a fold's groups with S seeds. With several seeds it is the mean covariance between two seeds, so
    that noise of single seeds does not count; with one it is the variance. Never below 0.
    """
    seeds = len(pulls)
    own = float((pulls**2).sum())
    if seeds == 1:
        return own
    together = float((pulls.sum(axis=0) ** 2).sum())
    return max((together - own) / (seeds * (seeds - 1)), 0.0)
