"""The losses and the averaged generator beside those of the same GAN written plainly: the benchmark's reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_progressive import PlainPair, Scaled

from lesionbench import RunContext
from lesionbench.torchkit.training import balanced_batches, torch_session
from lesionbench_progressive_gan import ProgressiveGan
from lesionbench_progressive_gan.layers import Equalized
from lesionbench_progressive_gan.networks import Blueprint
from lesionbench_progressive_gan.pair import Pair, ramped

LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
WIDTHS = (8, 8, 4)  # of base 32 at most 8
STEPS = 50  # 10 at 4 px, 10 fading in and 10 stable at 8 px, 10 fading in and 10 stable at 16 px


@pytest.fixture
def ours(tmp_path):
    equal = {"stable_images": 1, "fade_images": 1, "final_images": 1}
    settings = ProgressiveGan(size=16, steps=STEPS, batch_size=8, width=8, base=32, latent=8, **equal)
    images = np.random.default_rng(0).integers(0, 256, (len(LABELS), 16, 16, 3)).astype(np.uint8)
    context = RunContext(0, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)
    with torch_session(0):
        yield Pair(settings, Blueprint(16, 3, 2, 8, 8, 32), images, LABELS, 0, context)


@torch.no_grad()
def like(pair):
    plain = PlainPair(WIDTHS, latent=8, classes=2)
    for ours, theirs in ((pair.generator, plain.generator), (pair.discriminator, plain.discriminator)):
        layers = [layer for layer in ours.modules() if isinstance(layer, Equalized)]
        scaled = [layer for layer in theirs.modules() if isinstance(layer, Scaled)]
        for layer, other in zip(layers, scaled, strict=True):
            other.weight.copy_(layer.weight / layer.scale)
    plain.average.load_state_dict(plain.generator.state_dict())
    return plain


def test_every_loss_is_that_of_a_plain_loop_while_the_networks_grow(ours):
    plain = like(ours)
    random = torch.Generator().set_state(ours.random.get_state())
    batches = balanced_batches(LABELS, 8, 0)
    pixels = ours.pixels.permute(0, 3, 1, 2) / 127.5 - 1
    for step in range(STEPS):
        losses = ours.step()
        if ours.level_start == step:
            plain.reset_optimizers()
        chosen, latent = next(batches), torch.randn(8, 8, generator=random)
        along = torch.rand(8, generator=random) if step % 4 == 0 else None
        decay = ramped(0.999, ours.steps - ours.level_start)
        labels = torch.tensor(LABELS)[chosen]
        expected = plain.step(pixels[chosen], labels, latent, along, tuple(ours.moment), decay)
        found = float(losses["discriminator_loss"]), float(losses["generator_loss"])
        assert expected == pytest.approx(found, abs=1e-4, rel=1e-4)
    code = torch.randn(4, 10, generator=random)
    torch.testing.assert_close(plain.average(code, 2, 1.0), ours.average(code, ours.moment), atol=1e-4, rtol=1e-4)
