"""Drawn images for both sides: PNG files in a folder for each class for the reference, arrays for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lesionbench.pipeline.images import LabelledImages
from lesionbench.plugins import Plugins

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def draw(
    spec: str, folder: Path, train: int, validation: int = 0, test: int = 0, *, classes: int | None = None
) -> None:
    """Keep images of a drawn dataset: folder/PART/CLASS/NUMBER.png, and folder/PART.npz.

    classes: only the first of them.
    """
    everything = Plugins.load().dataset(spec).load(None).images
    names = everything.classes[:classes]
    waiting = np.random.default_rng(0).permutation(np.flatnonzero(everything.labels < len(names)))
    for part, count in {"train": train, "validation": validation, "test": test}.items():
        chosen, waiting = waiting[:count], waiting[count:]
        if count:
            assert len(chosen) == count, f"{spec} has too few images"
            _keep(everything.take(chosen), names, folder / part)


def _keep(images: LabelledImages, classes: tuple[str, ...], folder: Path) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        Image.fromarray(image.squeeze()).save(folder / classes[label] / f"{number}.png")
    np.savez(folder.with_suffix(".npz"), images=images.images, labels=images.labels, classes=np.array(classes))


def kept(folder: Path, part: str) -> LabelledImages:
    """The images that `draw` kept, each a group of its own."""
    with np.load(folder / f"{part}.npz") as arrays:
        images, labels, classes = arrays["images"], arrays["labels"], tuple(arrays["classes"].tolist())
    numbers: NDArray[np.int64] = np.arange(len(labels))
    return LabelledImages(images, labels, numbers, numbers.astype(np.str_), classes)
