"""The variance of a metric or a difference from two sources: which patients were tested, and the luck of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from lesionbench.evidence.statistics.influence import influence_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.influence import Influence
    from lesionbench.evidence.statistics.scores import ArmScores

SMALLEST_P = 1e-12  # smaller p-values are not distinguished
# Part of the spread between fits comes from the noise of the images, and we subtract it. Subtracting all of it would be
# right on average, but too much too often where few fits or folds show the spread. Subtracting half keeps false alarms
# below 5%; with one degree of freedom nothing is subtracted. See the tests of verdicts.
NOISE_TAKEN_OFF = 0.5
FEW_DEGREES = 4  # of freedom, of folds: five folds have enough


@dataclass(frozen=True)
class TwoWay:
    """A mean over repeats with its variance: `patients` from the test groups, `training` from fits that were repeated.

    training is None if no fit was repeated, because then it is unknown.  degrees: of freedom of the training's part.
    Each part is weighted with Student's quantile for its own degrees of freedom: three seeds say little about their
    spread, 600 patients much about theirs (Cochran and Cox 1957; Graybill and Wang 1980).
    """

    estimate: float
    patients: float
    training: float | None
    degrees: int
    groups: int

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.patients + (self.training or 0.0))

    def interval(self) -> tuple[float, float]:
        """The 95% interval."""
        half = self.half_width(0.025)
        return self.estimate - half, self.estimate + half

    def half_width(self, tail: float) -> float:
        """Half the width of the interval that leaves this probability beyond each end."""
        patients = self.patients * stdtrit(max(self.groups - 1, 1), tail) ** 2
        training = (self.training or 0.0) * stdtrit(self.degrees, tail) ** 2
        return math.sqrt(patients + training)

    def p_value(self) -> float:
        """The two-sided p-value for no difference."""
        return 2 * self._tail(abs(self.estimate))

    def p_beyond(self, margin: float) -> float:
        """The p-value for a difference of at least the margin, in either direction (two one-sided tests)."""
        return self._tail(margin - abs(self.estimate))

    def _tail(self, distance: float) -> float:
        """The one-sided probability of an error this large, the inverse of `half_width`; 0.5 if it is not above 0."""
        if distance <= 0:
            return 0.5
        if distance >= self.half_width(SMALLEST_P):
            return SMALLEST_P
        return float(brentq(lambda tail: self.half_width(tail) - distance, SMALLEST_P, 0.5))


def difference_of(metric: str, one: ArmScores, other: ArmScores) -> TwoWay:
    """One of the METRICS in the first arm minus that in the second, on the same images and in the same repeats."""
    return two_way(influence_of(metric, one).minus(influence_of(metric, other)), one)


def two_way(influence: Influence, like: ArmScores) -> TwoWay:
    """The mean over repeats and its two-way variance.

    Patients: the sum over groups of the squared influence values, each averaged over repeats. Training: the spread of
    the repeats of a fold, minus half of the spread that the noise of the images alone explains. With several folds,
    also how much more the folds differ than their groups explain; the larger of the two counts.
    """
    by_group = _sums(influence.values, like.groups)  # (R, G)
    patients = float((by_group.mean(axis=0) ** 2).sum())
    parts = []
    if len(influence.estimates) > 1:
        parts.append(_between_repeats(influence, like, by_group))
    if len(np.unique(like.folds)) > 1:
        parts.append(_between_folds(influence, like, patients))
    training, degrees = max(parts, key=_weight, default=(None, 1))
    return TwoWay(influence.mean, patients, training, degrees, by_group.shape[1])


def _weight(part: tuple[float, int]) -> float:
    variance, degrees = part
    return float(variance * stdtrit(degrees, 0.025) ** 2)


def _between_repeats(influence: Influence, like: ArmScores, by_group: NDArray[np.float64]) -> tuple[float, int]:
    """The variance of the mean between repeated fits beyond the noise of their images, and its degrees of freedom."""
    repeats = len(influence.estimates)
    runs = _sums(_around_the_mean(influence), like.folds)  # (R, F)
    spread = float(((runs - runs.mean(axis=0)) ** 2).sum()) / (repeats * (repeats - 1))
    by_images = float(((by_group - by_group.mean(axis=0)) ** 2).sum()) / (repeats * (repeats - 1))
    degrees = runs.shape[1] * (repeats - 1)
    return max(spread - (NOISE_TAKEN_OFF * by_images if degrees > 1 else 0.0), 0.0), degrees


def _between_folds(influence: Influence, like: ArmScores, patients: float) -> tuple[float, int]:
    folds = _sums(_around_the_mean(influence), like.folds).mean(axis=0)  # (F,)
    spread = float((folds**2).sum()) * len(folds) / (len(folds) - 1)
    degrees = len(folds) - 1
    if degrees < FEW_DEGREES:
        patients *= NOISE_TAKEN_OFF if degrees > 1 else 0.0
    return max(spread - patients, 0.0), degrees


def _around_the_mean(influence: Influence) -> NDArray[np.float64]:
    """Influence values around the mean over repeats instead of around each repeat's own estimate: (R, N)."""
    around: NDArray[np.float64] = (
        influence.values + (influence.estimates - influence.mean)[:, None] / influence.values.shape[1]
    )
    return around


def _sums(values: NDArray[np.float64], keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sums of values (R, N) over images of the same key (N,): (R, number of keys)."""
    order, first = _in_order(keys.tobytes(), keys.dtype.str)
    sums: NDArray[np.float64] = np.add.reduceat(values[:, order], first, axis=1)
    return sums


@lru_cache(maxsize=16)  # a hundred arms are compared in 4,950 pairs, all on the same groups and folds
def _in_order(content: bytes, dtype: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions (N,) of keys in their order, and where each key begins there, from the content of their array."""
    keys = np.frombuffer(content, dtype)
    order = np.argsort(keys, kind="stable")
    return order, np.unique(keys[order], return_index=True)[1]
