"""The nearest training image of every synthetic one under flips and turns, beside scikit-learn's eight searches.

A quarter of the size that the whole audit is meant for (10,000 synthetic images against 2,637 real ones).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from pairs import Options, Row, Sides, cost_of
from sklearn.neighbors import NearestNeighbors

from lesionbench.evidence.images.nearest import nearest
from lesionbench.evidence.images.thumbnails import symmetry, thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SYNTHETIC, TRAIN = 2500, 660


def _pictures(number: int, seed: int) -> NDArray[np.uint8]:
    """Smooth colour images of 64 x 64, as skin is."""
    coarse = np.random.default_rng(seed).integers(0, 256, (number, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def _eight_searches(synthetic: NDArray[np.float32], train: NDArray[np.float32]) -> NDArray[np.float64]:
    """The least distance over eight searches, each with the training images flipped or turned."""
    rows = synthetic.reshape(len(synthetic), -1)
    distances = []
    for number in range(8):
        turned = symmetry(train, number).reshape(len(train), -1)
        distances.append(NearestNeighbors(n_neighbors=1, algorithm="brute").fit(turned).kneighbors(rows)[0])
    return np.min(distances, axis=0)[:, 0] / np.sqrt(rows.shape[1])


@contextmanager
def nearest_images(options: Options) -> Iterator[Sides]:
    """Both searches, which must find the same distances."""
    synthetic = thumbnails(_pictures(SYNTHETIC // (25 if options.quick else 1), 0), 32)
    train = thumbnails(_pictures(TRAIN, 1), 32)
    assert np.allclose(nearest(synthetic[:50], train).distance, _eight_searches(synthetic[:50], train), rtol=1e-4)
    yield Sides(
        lambda: cost_of(lambda: nearest(synthetic, train), len(synthetic)),
        lambda: cost_of(lambda: _eight_searches(synthetic, train), len(synthetic)),
    )


SAYS = "scikit-learn's `NearestNeighbors`, brute force, once for each of the eight flips and turns"
ROWS = [Row("nearest", "audit: the nearest of 660 training images", "images/s", SAYS, nearest_images)]
