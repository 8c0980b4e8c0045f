"""The losses and the averaged generator beside those of the same GAN written plainly.

Weights are scaled at every use, upsampling comes before a convolution and pooling after it, each batch has a pass of
its own through the discriminator, and weights are averaged one by one (Karras et al. 2017).
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from math import prod, sqrt

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lesionbench import RunContext
from lesionbench.torchkit.training import balanced_batches, torch_session
from lesionbench_progressive_gan import ProgressiveGan
from lesionbench_progressive_gan.layers import Equalized
from lesionbench_progressive_gan.networks import Blueprint
from lesionbench_progressive_gan.pair import Pair, ramped

LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
WIDTHS = (8, 8, 4)  # of base 32 at most 8
STEPS = 50  # 10 at 4 px, 10 fading in and 10 stable at 8 px, 10 fading in and 10 stable at 16 px


class Scaled(nn.Module):
    """A linear layer, or a convolution, with weights from N(0, 1) that are scaled at every use."""

    def __init__(self, *shape: int, gain: float = sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.scale = gain / sqrt(prod(shape[1:]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.scale
        if weight.dim() == 2:
            return functional.linear(x, weight, self.bias)
        return functional.conv2d(x, weight, self.bias, padding=weight.shape[2] // 2)


def leaky(x: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x, 0.2)


def pixel_norm(x: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


def upsample(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def pool(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, 2)


class PlainGenerator(nn.Module):
    """Codes (B, latent + classes) to images (B, C, h, w) of a level."""

    def __init__(self, widths: tuple[int, ...], codes: int, channels: int = 3) -> None:
        super().__init__()
        self.first = Scaled(widths[0] * 16, codes, gain=sqrt(2) / 4)
        self.second = Scaled(widths[0], widths[0], 3, 3)
        self.enlarging = nn.ModuleList(Scaled(after, before, 3, 3) for before, after in pairwise(widths))
        self.refining = nn.ModuleList(Scaled(after, after, 3, 3) for after in widths[1:])
        self.to_colour = nn.ModuleList(Scaled(channels, width, 1, 1, gain=1.0) for width in widths)

    def forward(self, codes: torch.Tensor, level: int, fade: float) -> torch.Tensor:
        x = pixel_norm(leaky(self.first(codes).view(len(codes), -1, 4, 4)))
        x = before = pixel_norm(leaky(self.second(x)))
        for enlarging, refining in zip(self.enlarging[:level], self.refining[:level], strict=True):
            before = x
            x = pixel_norm(leaky(enlarging(upsample(x))))
            x = pixel_norm(leaky(refining(x)))
        images = self.to_colour[level](x)
        if fade < 1:
            images = fade * images + (1 - fade) * upsample(self.to_colour[level - 1](before))
        return images


class PlainDiscriminator(nn.Module):
    """Images (B, C, h, w) of a level to scores (B, 1 + classes)."""

    def __init__(self, widths: tuple[int, ...], classes: int, channels: int = 3) -> None:
        super().__init__()
        self.from_colour = nn.ModuleList(Scaled(width, channels, 1, 1) for width in widths)
        self.refining = nn.ModuleList(Scaled(after, after, 3, 3) for after in widths[1:])
        self.shrinking = nn.ModuleList(Scaled(before, after, 3, 3) for before, after in pairwise(widths))
        self.mixing = Scaled(widths[0], widths[0] + 1, 3, 3)
        self.gathering = Scaled(widths[0], widths[0] * 16)
        self.scoring = Scaled(1 + classes, widths[0], gain=1.0)

    def forward(self, images: torch.Tensor, level: int, fade: float) -> torch.Tensor:
        x = leaky(self.from_colour[level](images))
        for below in reversed(range(level)):
            x = leaky(self.refining[below](x))
            x = leaky(pool(self.shrinking[below](x)))
            if below == level - 1 and fade < 1:
                x = fade * x + (1 - fade) * leaky(self.from_colour[below](pool(images)))
        x = leaky(self.mixing(torch.cat([x, deviation(x)], dim=1)))
        return self.scoring(leaky(self.gathering(x.flatten(1))))


def deviation(x: torch.Tensor) -> torch.Tensor:
    """The standard deviation within each four images, as a map (B, 1, H, W)."""
    groups = x.view(-1, 4, *x.shape[1:])
    each = torch.sqrt(groups.var(dim=1, unbiased=False) + 1e-8).mean(dim=[1, 2, 3])
    return each.repeat_interleave(4).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])


class PlainPair:
    """Both networks, their optimizers, and the averaged generator."""

    def __init__(self, widths: tuple[int, ...], latent: int, classes: int, channels: int = 3) -> None:
        self.classes = classes
        self.generator = PlainGenerator(widths, latent + classes, channels)
        self.discriminator = PlainDiscriminator(widths, classes, channels)
        self.average = deepcopy(self.generator)
        self.reset_optimizers()

    def reset_optimizers(self) -> None:
        """Forget Adam's moments, as at the start of each level."""
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=1e-3, betas=(0.0, 0.99))

    def step(
        self, real: torch.Tensor, labels: torch.Tensor, latent: torch.Tensor, along: torch.Tensor | None,
        moment: tuple[int, float], decay: float = 0.999,
    ) -> tuple[float, float]:  # fmt: skip
        """The discriminator's and the generator's loss, before the updates of their networks.

        along: between the synthetic and the real images, (B,): where the penalty is computed; None: in another step.
        """
        codes = torch.cat([pixel_norm(latent), functional.one_hot(labels, self.classes).float()], dim=1)
        real = self.faded(real, moment)
        fake = self.generator(codes, *moment)
        loss_d = self.discriminator_loss(real, fake.detach(), labels, moment)
        if along is not None:
            loss_d = loss_d + 4 * self.penalty(real, fake.detach(), along.view(-1, 1, 1, 1), moment)
        self.optimizer_d.zero_grad()
        loss_d.backward()
        self.optimizer_d.step()
        scores = self.discriminator(fake, *moment)
        loss_g = functional.cross_entropy(scores[:, 1:], labels) - scores[:, 0].mean()
        self.optimizer_g.zero_grad()
        loss_g.backward()
        self.optimizer_g.step()
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.copy_(decay * mean + (1 - decay) * weight)
        return loss_d.item(), loss_g.item()

    def faded(self, images: torch.Tensor, moment: tuple[int, float]) -> torch.Tensor:
        """Images of full size, pooled to the level's, and blended while it fades in."""
        level, fade = moment
        while images.shape[-1] > 4 * 2**level:
            images = pool(images)
        return fade * images + (1 - fade) * upsample(pool(images)) if fade < 1 else images

    def discriminator_loss(
        self, real: torch.Tensor, fake: torch.Tensor, labels: torch.Tensor, moment: tuple[int, float]
    ) -> torch.Tensor:
        """The critic's loss with drift, and the class losses."""
        of_real, of_fake = self.discriminator(real, *moment), self.discriminator(fake, *moment)
        loss = of_fake[:, 0].mean() - of_real[:, 0].mean() + 0.001 * (of_real[:, 0] ** 2).mean()
        classes = functional.cross_entropy(of_real[:, 1:], labels) + functional.cross_entropy(of_fake[:, 1:], labels)
        return loss + classes

    def penalty(
        self, real: torch.Tensor, fake: torch.Tensor, along: torch.Tensor, moment: tuple[int, float]
    ) -> torch.Tensor:
        """The gradient penalty."""
        mixed = (along * real + (1 - along) * fake).requires_grad_()
        scores = self.discriminator(mixed, *moment)[:, 0]
        (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
        return 10 * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()


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
