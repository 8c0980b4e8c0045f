"""The rows of `classic`: changed images beside albumentations' own composition, and a changed batch beside its step."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from drawn import draw, kept
from pairs import Options, Row, Sides, cost_of
from torch.nn.functional import binary_cross_entropy_with_logits
from training import skin_32

from lesionbench.pipeline.context import NoCheckpoint, RunContext
from lesionbench.plugins import Plugins
from lesionbench.torchkit.optimizers import Adam
from lesionbench_paper_cnns.kth_cnn import kth_network

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise the import looks for a newer version on the network
import albumentations as A  # noqa: N812  # everybody calls it A
import cv2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.pipeline.augmenter import Transformer
    from lesionbench.pipeline.images import LabelledImages

IMAGES, TIMES = 640, 5
BATCH = 64


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
def _drawn() -> Iterator[tuple[LabelledImages, Transformer]]:
    """Drawn images of 32 pixels, and a `classic` sampler that was fitted to them."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        draw(skin_32(IMAGES // 2), folder, IMAGES)
        train = kept(folder, "train")
        context = RunContext(0, "cpu", "fp32", folder, lambda *_, **__: None, NoCheckpoint())
        yield train, Plugins.load().augmenter("classic").fit(train, context)


@contextmanager
def changed_images(options: Options) -> Iterator[Sides]:
    """Batches of 64 images, all on one thread."""
    with _drawn() as (train, sampler):
        change, times = composed(), 1 if options.quick else TIMES

        def ours() -> None:
            for start in range(0, times * IMAGES, BATCH):
                sampler.transform(train.images[start % IMAGES :][:BATCH], start)

        def theirs() -> None:
            for _ in range(times):
                np.stack([change(image=image)["image"] for image in train.images])

        ours()  # the first images of each take longer
        theirs()
        yield Sides(lambda: cost_of(ours, times * IMAGES), lambda: cost_of(theirs, times * IMAGES))


@contextmanager
def changed_batches(options: Options) -> Iterator[Sides]:
    """Changing a batch, and the step of kth-cnn that learns from it, both on one thread in fp32."""
    torch.set_num_threads(1)
    steps = 2 if options.quick else 30
    network = kth_network(3, outputs=1, dropout=0.25).to(memory_format=torch.channels_last)
    optimizer, targets = Adam(network.parameters(), learning_rate=1e-3), torch.ones(BATCH, 1)
    images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with _drawn() as (train, sampler):

        def change() -> None:
            for seed in range(steps):
                sampler.transform(train.images[:BATCH], seed)

        def learn() -> None:
            for _ in range(steps):
                loss = binary_cross_entropy_with_logits(network(images), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        change()
        learn()  # the first step takes longer
        yield Sides(lambda: cost_of(change, steps * BATCH), lambda: cost_of(learn, steps * BATCH))


SAYS = "albumentations' own `OneOf` of `Affine`, flips and their sequence, called for one image after the other"
STEP = "a training step of `kth-cnn` that learns from the same images, in fp32, without the changes"
ROWS = [
    Row("classic", "classic: changed images, 32 px", "images/s", SAYS, changed_images),
    Row("on-the-fly", "classic: a batch on the fly beside its step of kth-cnn", "images/s", STEP, changed_batches),
]
