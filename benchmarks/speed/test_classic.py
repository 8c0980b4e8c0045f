"""Images that `classic` changes: ours beside albumentations called for one image after the other; and on the fly.

Both sides of a comparison draw from the same set of changes, on one thread.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench import LabelledImages, RunContext
from lesionbench_classic import Classic
from lesionbench_paper_cnns.kth_cnn import kth_network

COUNT, BATCH = 640, 64


def images(size):
    return np.random.default_rng(0).integers(0, 256, (COUNT, size, size, 3), dtype=np.uint8)


def fitted(own):
    numbers = np.arange(len(own))
    train = LabelledImages(own, numbers * 0, numbers, numbers.astype(str), ("a", "b"))
    return Classic().fit(train, RunContext(0, "cpu", "fp32", Path(), lambda *_, **__: None))


def composed(size):
    """The same rotations, flips, shifts and zooms as one composition of albumentations' transforms."""
    import albumentations as A  # noqa: N812  # everybody calls it A
    import cv2

    def turned(weight, **further):
        how = {"interpolation": cv2.INTER_CUBIC, "border_mode": cv2.BORDER_REFLECT}
        return A.Affine(rotate=(0, 180), p=weight / 16, **how, **further)

    shift = (-round(size / 16), round(size / 16))
    both = A.Sequential([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=1)
    flips = A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), both], p=1)
    flipped = A.Sequential([turned(16), flips], p=3 / 16)
    shifted, zoomed = turned(7, translate_px={"x": shift, "y": shift}), turned(5, scale=(0.83, 1.25), keep_ratio=True)
    return A.Compose([A.OneOf([turned(1), flipped, shifted, zoomed], p=1)], seed=0)


@pytest.mark.benchmark(group="640 changed images")
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("whose", ["albumentations", "ours"])
def test_changed_images(benchmark, whose, size):
    given = images(size)
    if whose == "ours":
        sampler = fitted(given)
        benchmark.pedantic(lambda: sampler.transform(given, 0), rounds=7, warmup_rounds=1)
    else:
        change = composed(size)
        benchmark.pedantic(lambda: [change(image=image)["image"] for image in given], rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="a batch on the fly beside its kth-cnn step")
@pytest.mark.parametrize("part", ["change", "step"])
def test_on_the_fly(benchmark, part):
    torch.set_num_threads(1)
    batch = images(32)[:BATCH]
    network = kth_network(channels=3, outputs=1, dropout=0.25).to(memory_format=torch.channels_last)
    optimizer, sampler = torch.optim.Adam(network.parameters()), fitted(batch)
    tensor = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)

    def step():
        loss = nn.functional.binary_cross_entropy_with_logits(network(tensor).flatten(), torch.ones(BATCH))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    benchmark.pedantic(step if part == "step" else lambda: sampler.transform(batch, 0), rounds=40, warmup_rounds=10)
