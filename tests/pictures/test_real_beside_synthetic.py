from __future__ import annotations

import numpy as np
from PIL import Image

from lesionbench.pictures.real_beside_synthetic import save_comparisons
from lesionbench.testing import tiny_images


class White:
    """A sampler of white images that remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def sample(self, label, count, seed):
        self.asked.append((label, count, seed))
        return np.full((count, 32, 32, 3), 255, np.uint8)


def test_every_class_gets_a_picture_with_as_many_synthetic_images_as_real_ones(tmp_path):
    sampler = White()
    save_comparisons(tmp_path, tiny_images(per_class=12), sampler, 7)
    assert ["real_and_synthetic_class-0.png", "real_and_synthetic_class-1.png"] == sorted(
        path.name for path in tmp_path.iterdir()
    )
    assert [(0, 12, 7), (1, 12, 7)] == sampler.asked


def test_the_real_images_stand_above_the_synthetic_ones(tmp_path):
    save_comparisons(tmp_path, tiny_images(per_class=8), White(), 7)
    with Image.open(tmp_path / "real_and_synthetic_class-0.png") as picture:
        pixels = np.asarray(picture.convert("L"))[:, 100:]
    half = len(pixels) // 2
    assert (pixels[:half] < 255).mean() > 0.5
    assert (255 == pixels[half:]).all()


def test_at_most_24_real_images_are_shown(tmp_path):
    sampler = White()
    save_comparisons(tmp_path, tiny_images(classes=1, per_class=100), sampler, 7)
    assert [(0, 24, 7)] == sampler.asked
