"""The nearest training image under flips and turns: ours beside scikit-learn's search for each of the eight.

A quarter of the size that the whole audit is meant for (10,000 synthetic images against 2,637 real ones).
"""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from lesionbench.evidence.images.memorisation import RealImages, audit_pool
from lesionbench.evidence.images.nearest import nearest
from lesionbench.evidence.images.thumbnails import symmetry, thumbnails
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.training_set import Pool

SYNTHETIC, TRAIN, HELD_OUT = 2500, 660, 165


def pictures(number, seed):
    """Smooth colour images of 64 x 64, as skin is."""
    coarse = np.random.default_rng(seed).integers(0, 256, (number, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def labelled(number, seed):
    labels, numbers = np.arange(number) % 2, np.arange(number)
    return LabelledImages(pictures(number, seed), labels, numbers, numbers.astype(np.str_), ("a", "b"))


def plain(synthetic, train):
    """The least distance over eight searches, each with the training images flipped or turned."""
    rows = synthetic.reshape(len(synthetic), -1)
    distances = []
    for number in range(8):
        turned = symmetry(train, number).reshape(len(train), -1)
        distances.append(NearestNeighbors(n_neighbors=2, algorithm="brute").fit(turned).kneighbors(rows)[0])
    return np.min(distances, axis=0)[:, 0] / np.sqrt(rows.shape[1])


def ours(synthetic, train):
    return nearest(synthetic, train).distance


@pytest.mark.benchmark(group="nearest training image")
@pytest.mark.parametrize("search", [plain, ours])
def test_the_nearest_training_image(benchmark, search):
    synthetic, train = thumbnails(pictures(SYNTHETIC, 0), 32), thumbnails(pictures(TRAIN, 1), 32)

    found = benchmark.pedantic(search, [synthetic, train], rounds=3, warmup_rounds=1)

    assert np.allclose(found[:50], plain(synthetic[:50], train), rtol=1e-4)


@pytest.mark.benchmark(group="audit of a pool")
def test_the_audit_of_a_pool(benchmark):
    pool = Pool((pictures(SYNTHETIC // 2, 0), pictures(SYNTHETIC // 2, 2)))
    train, held_out = labelled(TRAIN, 1), labelled(HELD_OUT, 3)

    benchmark.pedantic(lambda: audit_pool(pool, RealImages.of(train, held_out), 0), rounds=3, warmup_rounds=1)
