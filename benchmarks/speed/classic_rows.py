"""The rows of `classic`: changed images a second, beside albumentations' own composition, image by image."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from drawn import draw, kept
from pairs import Options, Row, Sides, cost_of
from training import skin_32

from lesionbench.pipeline.context import NoCheckpoint, RunContext
from lesionbench.plugins import Plugins

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise the import looks for a newer version on the network
import albumentations as A  # noqa: N812  # everybody calls it A
import cv2

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES, TIMES = 640, 5


def composed() -> A.OneOf:
    """A rotation, then nothing, a flip, a shift or a zoom in the proportions 1 : 3 : 7 : 5, for 32 px."""

    def turned(weight: float, **further: object) -> A.Affine:
        how = {"interpolation": cv2.INTER_CUBIC, "border_mode": cv2.BORDER_REFLECT}
        return A.Affine(rotate=(0, 180), p=weight, **how, **further)

    flips = A.OneOf(
        [A.HorizontalFlip(p=1), A.VerticalFlip(p=1), A.Sequential([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=1)],
        p=1,
    )
    flipped = A.Sequential([turned(1), flips], p=3 / 16)
    shifted = turned(7 / 16, translate_px={"x": (-2, 2), "y": (-2, 2)})
    return A.OneOf([turned(1 / 16), flipped, shifted, turned(5 / 16, scale=(0.83, 1.25), keep_ratio=True)], p=1)


@contextmanager
def changed_images(options: Options) -> Iterator[Sides]:
    """Batches of 64 images, all on one thread."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        draw(skin_32(IMAGES // 2), folder, IMAGES)
        train = kept(folder, "train")
        context = RunContext(0, "cpu", "fp32", folder, lambda *_, **__: None, NoCheckpoint())
        sampler = Plugins.load().augmenter("classic").fit(train, context)
        change, times = composed(), 1 if options.quick else TIMES

        def ours() -> None:
            for start in range(0, times * IMAGES, 64):
                sampler.transform(train.images[start % IMAGES :][:64], start)

        def theirs() -> None:
            for _ in range(times):
                np.stack([change(image=image)["image"] for image in train.images])

        ours()  # the first image of each takes longer
        yield Sides(lambda: cost_of(ours, times * IMAGES), lambda: cost_of(theirs, times * IMAGES))


SAYS = "albumentations' own `OneOf` of `Affine`, flips and their sequence, called for one image after the other"
ROWS = [Row("classic", "classic: changed images, 32 px", "images/s", SAYS, changed_images)]
