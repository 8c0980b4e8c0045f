"""What a network needs of the images that it learns from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lesionbench.errors import InputError

if TYPE_CHECKING:
    from lesionbench.pipeline.images import LabelledImages

log = logging.getLogger("lesionbench")


def refuse_empty_classes(plugin: str, images: LabelledImages) -> None:
    """Raise InputError unless every class has an image."""
    for label, name in enumerate(images.classes):
        if not (images.labels == label).any():
            raise InputError(
                f"{plugin} needs at least 1 training image of every class, but {name!r} has 0; "
                f"add images of it or leave the class out of the dataset"
            )


def log_resizing(plugin: str, shape: tuple[int, int, int], size: int) -> None:
    """Log that a sampler's network works at another size than the training images have; call once in a fit."""
    height, width, _ = shape
    if (height, width) != (size, size):
        log.info(
            "%s learns at %d x %d: the %d x %d training images are resized, and its images back",
            plugin, size, size, height, width,
        )  # fmt: skip
