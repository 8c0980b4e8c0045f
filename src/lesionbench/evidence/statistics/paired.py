"""Paired tests of two arms on the same test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import convolve
from scipy.stats import binom
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores


@dataclass(frozen=True)
class McNemar:
    """b: images that only the first arm gets right; c: only the second; means over repeats. p: exact, two-sided."""

    b: float
    c: float
    p: float


def mcnemar(one: ArmScores, other: ArmScores, among: NDArray[np.bool_]) -> McNemar:
    """The exact McNemar test on some of the images (N,), such as the positives (McNemar 1947; Fagerland 2013).

    With one repeat and one image in each group, it is the binomial test of b against c. Groups of several images and
    repeats are kept whole: if there is no difference, the two arms can be swapped within any group, and the p-value is
    the exact share of all such swaps that are at least as uneven.
    """
    gains = one.right()[:, among].astype(np.int64) - other.right()[:, among]  # (R, n): 1, 0 or -1
    _, group_of = np.unique(one.groups[among], return_inverse=True)
    by_group = np.zeros(int(group_of.max(initial=-1)) + 1, np.int64)
    np.add.at(by_group, group_of, gains.sum(axis=0))
    repeats = len(gains)
    b, c = float((gains > 0).sum()) / repeats, float((gains < 0).sum()) / repeats
    return McNemar(b, c, exchange_p(by_group))


def exchange_p(differences: NDArray[np.int64]) -> float:
    """The exact share of all 2^G choices of signs whose sum is at least as far from 0.

    differences: whole numbers (G,), one for each group. If all are 1 or -1, this is the two-sided binomial test.
    """
    chance = np.ones(1)  # of every possible sum, from the lowest to the highest
    for size, count in zip(*np.unique(np.abs(differences[differences != 0]), return_counts=True), strict=True):
        of_size = np.zeros(2 * size * count + 1)
        of_size[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = convolve(chance, of_size)
    highest = len(chance) // 2
    sums = np.arange(-highest, highest + 1)
    far = np.abs(sums) >= abs(int(differences.sum()))
    return min(1.0, float(chance[far].sum()))


@dataclass(frozen=True)
class CorrectedT:
    """The corrected resampled t-test: its t, its two-sided p and the 95% interval of the mean difference."""

    t: float
    p: float
    low: float
    high: float


def nadeau_bengio(differences: Sequence[float], train: int, test: int) -> CorrectedT | None:
    """The corrected resampled t-test over all J fits, folds times repeats (Nadeau and Bengio 2003).

    differences: of a metric, one for each fit.  train, test: how many images a fit learns from and is tested on.
    The variance is (1 / J + test / train) s^2, with J - 1 degrees of freedom. None if there are fewer than two fits.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return None
    mean, degrees = float(values.mean()), len(values) - 1
    error = float(np.sqrt((1 / len(values) + test / train) * values.var(ddof=1)))
    half = error * float(student.ppf(0.975, degrees))
    if not error:
        return CorrectedT(0.0, 1.0, mean, mean) if not mean else None
    return CorrectedT(mean / error, float(2 * student.sf(abs(mean) / error, degrees)), mean - half, mean + half)
