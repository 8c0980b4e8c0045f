"""Real images and synthetic ones of the same class, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lesionbench.pictures.drawing import file_stems, save_rows

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.augmenter import Sampler
    from lesionbench.pipeline.images import Images, LabelledImages

IMAGES_PER_ROW = 8  # images in a row
COMPARED = 24  # real images, and the same number of synthetic ones


def save_comparisons(folder: Path, images: LabelledImages, sampler: Sampler, seed: int) -> None:
    """Write real_and_synthetic_CLASS.png for every class: up to 24 real images, and below as many synthetic ones."""
    for label, stem in enumerate(file_stems(images.classes)):
        real = images.of_class(label)
        some = real[np.linspace(0, len(real) - 1, min(len(real), COMPARED)).round().astype(int)]
        above, below = _in_rows(some), _in_rows(sampler.sample(label, len(some), seed))
        names = ["real"] * len(above) + ["synthetic"] * len(below)
        save_rows(folder / f"real_and_synthetic_{stem}.png", [*above, *below], names)


def _in_rows(images: Images) -> list[Images]:
    return [images[start : start + IMAGES_PER_ROW] for start in range(0, len(images), IMAGES_PER_ROW)]
