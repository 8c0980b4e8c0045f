"""Variance components of a nested design: what fold, seed and classifier seed each add, from mean squares.

Each fold has its own augmenter seeds (a fit's seed is derived from fold and seed), and each augmenter seed has its own
classifier seeds, so the levels are nested. With equal numbers at every level, the method of moments on the analysis of
variance is exact and unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Component:
    """The variance of one level, which can be negative because it is unbiased, and its 95% interval."""

    variance: float
    low: float
    high: float


def components(values: NDArray[np.float64]) -> list[Component]:
    """The variance that each level of nesting adds, the outermost first.

    values: (n1, ..., nL), every n at least 2; values[i] belong to the i-th unit of the outermost level.
    Intervals: exact for the innermost level, from the chi-square distribution; for the others Williams (1962) and Tukey
    (1951), which assume normal effects and cover 95% or a little more. Bounds below 0 are set to 0.
    """
    squares = _mean_squares(values - values.flat[0])  # so that the variance of equal values is exactly 0
    squares.append((0.0, 1))  # there is no level below the innermost one
    found = []
    for depth in range(values.ndim):
        (between, free), (within, free_within) = squares[depth], squares[depth + 1]
        size = int(np.prod(values.shape[depth + 1 :]))  # values under one unit of this level
        bounds = [
            (between - within * ratio) * free / (chi * size)
            for chi, ratio in _quantiles(free, free_within if within else None)
        ]
        found.append(Component((between - within) / size, max(bounds[0], 0.0), max(bounds[1], 0.0)))
    return found


def _mean_squares(values: NDArray[np.float64]) -> list[tuple[float, int]]:
    """The mean square of every level with its degrees of freedom, the outermost first."""
    found = []
    above = np.asarray(values.mean())
    for depth in range(values.ndim):
        means = values.mean(axis=tuple(range(depth + 1, values.ndim)))
        size = values.size // means.size
        free = means.size - above.size
        found.append((float(size * ((means - above[..., None]) ** 2).sum() / free), free))
        above = means
    return found


@lru_cache(maxsize=256)
def _quantiles(free: int, free_within: int | None) -> list[tuple[float, float]]:
    """The quantiles of chi-square and of F for the lower and the upper bound (F is 1 without variance within)."""
    from scipy.stats import chi2, f

    tails = (0.975, 0.025)
    return [
        (float(chi2.ppf(tail, free)), 1.0 if free_within is None else float(f.ppf(tail, free, free_within)))
        for tail in tails
    ]
