"""Precision, recall, density and coverage: how much the nearest-neighbor balls of two sets of features overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from lesionbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Features = NDArray[np.float64]  # (N, D)

CHUNK = 1024  # rows of the distance matrix in memory at a time


@dataclass(frozen=True)
class Prdc:
    """The four shares; density can be above 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Features, synthetic: Features, k: int) -> Prdc:
    """How well synthetic features cover the real ones; the radius of a ball is the distance to the k-th neighbor.

    precision: the share of synthetic features inside a real ball; recall: of real ones inside a synthetic ball
    (Kynkaanniemi et al. 2019, section 2). density: the mean number of real balls around a synthetic feature, over k;
    coverage: the share of real balls with a synthetic feature inside (Naeem et al. 2020, section 3). The border does
    not belong to a ball, so a ball of radius 0 contains nothing.
    real: float64 (N, D); synthetic: float64 (M, D). Raises InputError unless both have more than k rows.
    """
    real_radius, synthetic_radius = neighbor_distance(real, k), neighbor_distance(synthetic, k)
    around = np.zeros(len(synthetic))  # the number of real balls that contain each synthetic feature
    recalled = covered = 0
    for rows, distances in _distances(real, synthetic):
        inside = distances < real_radius[rows, None]
        around += inside.sum(axis=0)
        covered += int(inside.any(axis=1).sum())
        recalled += int((distances < synthetic_radius).any(axis=1).sum())
    return Prdc(
        precision=float((around > 0).mean()),
        recall=recalled / len(real),
        density=float(around.mean() / k),
        coverage=covered / len(real),
    )


def neighbor_distance(features: Features, k: int) -> NDArray[np.float64]:
    """The distance of each feature to its k-th neighbor, (N,); raises InputError unless there are more than k."""
    if len(features) <= k:
        raise InputError(f"a {k}-nearest neighbor needs more than {k} images, not {len(features)}; use more or lower k")
    parts = [np.partition(distances, k, axis=1)[:, k] for _, distances in _distances(features, features)]
    return np.concatenate(parts)  # the k + 1 smallest include the distance 0 to itself


def _distances(one: Features, other: Features) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Rows of `one` and their Euclidean distances to all of `other`, a chunk at a time."""
    for start in range(0, len(one), CHUNK):
        rows = slice(start, min(start + CHUNK, len(one)))
        yield rows, cdist(one[rows], other)
