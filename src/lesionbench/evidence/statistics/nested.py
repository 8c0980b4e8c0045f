"""Variance components of a nested design: what fold, seed and classifier seed each add, from mean squares.

Every fold has augmenter seeds of its own (a fit's seed is derived from fold and seed), and every augmenter seed has
classifier seeds of its own: the levels are nested, and the method of moments on the analysis of variance is exact and
unbiased for equal numbers at every level.
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
    """One level's variance, unbiased and so perhaps negative, and its 95% interval."""

    variance: float
    low: float
    high: float


def components(values: NDArray[np.float64]) -> list[Component]:
    """The variance that each level of nesting adds, the outermost first.

    values: (n1, ..., nL), every n at least 2; values[i] are those of the i-th unit of the outermost level.
    Intervals: for the innermost level exact, of the chi-square law; for the others Williams (1962) and Tukey (1951),
    which assume normal effects and cover 95% or a little more. Bounds below 0 are set to 0.
    """
    squares = _mean_squares(values - values.flat[0])  # so that equal values have a variance of exactly 0
    squares.append((0.0, 1))  # below the innermost level there is nothing
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
    """For the lower and the upper bound, the quantiles of chi-square and of F (1 where there is nothing within)."""
    from scipy.stats import chi2, f

    tails = (0.975, 0.025)
    return [
        (float(chi2.ppf(tail, free)), 1.0 if free_within is None else float(f.ppf(tail, free, free_within)))
        for tail in tails
    ]
