"""The variance of a metric, or of a difference, over which patients were tested and over how training turned out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.evidence.pulls import Pulls
    from lesionbench.evidence.scores import ArmScores


@dataclass(frozen=True)
class TwoWay:
    """A mean over repeats with its variance: `patients` from the test groups, `training` from fits that were repeated.

    training is None where no fit was repeated: then its luck is not known.
    degrees: of freedom of the whole variance.
    """

    estimate: float
    patients: float
    training: float | None
    degrees: float
    groups: int

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.patients + (self.training or 0.0)))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The estimate less and plus its error times Student's quantile."""
        half = self.error * float(student.ppf((1 + confidence) / 2, self.degrees))
        return self.estimate - half, self.estimate + half

    def p_value(self) -> float:
        """The two-sided p-value of no difference; 1 where nothing varies and nothing differs."""
        if not self.error:
            return 1.0 if not self.estimate else 0.0
        return float(2 * student.sf(abs(self.estimate) / self.error, self.degrees))

    def p_beyond(self, margin: float) -> float:
        """The p-value of a difference of the margin or more, either way (two one-sided tests)."""
        if not self.error:
            return float(abs(self.estimate) >= margin)
        return float(student.sf((margin - abs(self.estimate)) / self.error, self.degrees))


def two_way(pulls: Pulls, like: ArmScores) -> TwoWay:
    """The mean over repeats and its two-way variance, as an analysis of variance takes it apart.

    Patients: the squared pulls of the groups, each the mean over repeats. Training: how much more the repeats of a fold
    differ than their images alone would make them, and how much more the folds differ than their groups would; the
    larger of the two, and 0 when both are less than that.
    """
    repeats = len(pulls.estimates)
    by_group = _sums(pulls.pulls, like.groups)  # (R, G)
    patients = float((by_group.mean(axis=0) ** 2).sum())
    groups = by_group.shape[1]
    parts = []
    if repeats > 1:
        parts.append(_between_repeats(pulls, like, by_group))
    if len(np.unique(like.folds)) > 1:
        parts.append(_between_folds(pulls, like, patients))
    if not parts:
        return TwoWay(pulls.mean, patients, None, max(groups - 1, 1), groups)
    training, spread, degrees = max(parts)
    whole = patients + training
    if not training:
        return TwoWay(pulls.mean, patients, 0.0, max(groups - 1, 1), groups)
    satterthwaite = whole**2 / (patients**2 / max(groups - 1, 1) + spread**2 / degrees)
    return TwoWay(pulls.mean, patients, training, satterthwaite, groups)


def _between_repeats(pulls: Pulls, like: ArmScores, by_group: NDArray[np.float64]) -> tuple[float, float, int]:
    """The variance of the mean that comes from repeated fits, that of their spread, and its degrees of freedom."""
    repeats = len(pulls.estimates)
    runs = _sums(_around_the_mean(pulls), like.folds)  # (R, F)
    spread = float(((runs - runs.mean(axis=0)) ** 2).sum()) / (repeats * (repeats - 1))
    by_images = float(((by_group - by_group.mean(axis=0)) ** 2).sum()) / (repeats * (repeats - 1))
    return max(spread - by_images, 0.0), spread, runs.shape[1] * (repeats - 1)


def _between_folds(pulls: Pulls, like: ArmScores, patients: float) -> tuple[float, float, int]:
    folds = _sums(_around_the_mean(pulls), like.folds).mean(axis=0)  # (F,)
    spread = float((folds**2).sum()) * len(folds) / (len(folds) - 1)
    return max(spread - patients, 0.0), spread, len(folds) - 1


def _around_the_mean(pulls: Pulls) -> NDArray[np.float64]:
    """Pulls around the mean over repeats instead of each repeat's own estimate: (R, N)."""
    around: NDArray[np.float64] = pulls.pulls + (pulls.estimates - pulls.mean)[:, None] / pulls.pulls.shape[1]
    return around


def _sums(values: NDArray[np.float64], keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sums of values (R, N) over images of the same key (N,): (R, number of keys)."""
    order = np.argsort(keys, kind="stable")
    _, first = np.unique(keys[order], return_index=True)
    sums: NDArray[np.float64] = np.add.reduceat(values[:, order], first, axis=1)
    return sums
