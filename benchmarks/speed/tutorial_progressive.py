"""The reference of the progressive GAN's rows: a plain loop with its networks, at one resolution (Karras et al. 2017).

What the paper describes, in PyTorch's own layers: upsampling and then a convolution, a convolution and then average
pooling, weights scaled at every use, pixel norm, standard deviation over groups, WGAN-GP, and an averaged generator.
The class labels are those of an ACGAN. As in `progressive-gan`, the penalty is computed in every fourth step.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING

import torch
import tutorial
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

LATENT, CLASSES, CHANNELS = 64, 2, 3
PENALTY_EVERY = 4
FEATURES = (64, 64, 32, 16, 8)  # at 4, 8, 16, 32 and 64 px


class Equalized(nn.Module):
    """A convolution or a dense layer with weights from N(0, 1), scaled at every use."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, gain: float = sqrt(2)) -> None:
        super().__init__()
        self.layer = layer
        self.scale = gain / sqrt(layer.weight[0].numel())
        nn.init.normal_(layer.weight)
        nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.layer.weight * self.scale
        if isinstance(self.layer, nn.Linear):
            return functional.linear(x, weight, self.layer.bias)
        return functional.conv2d(x, weight, self.layer.bias, padding=self.layer.padding)


class PixelNorm(nn.Module):
    """Features scaled to a mean square of 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / torch.sqrt(x.pow(2).mean(1, keepdim=True) + 1e-8)


class GroupDeviation(nn.Module):
    """One more map: how much the images of each group of four vary."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = x.shape
        groups = x.view(-1, 4, channels, height, width)
        deviation = torch.sqrt(groups.var(1, unbiased=False) + 1e-8).mean((1, 2, 3))
        return torch.cat([x, deviation.repeat_interleave(4).view(count, 1, 1, 1).expand(-1, 1, height, width)], 1)


def conv(before: int, after: int, kernel: int = 3, gain: float = sqrt(2)) -> Equalized:
    return Equalized(nn.Conv2d(before, after, kernel, padding=kernel // 2), gain)


def generator(size: int) -> nn.Sequential:
    """Latents with one-hot labels (B, 66) to images (B, 3, size, size)."""
    widths = FEATURES[: size.bit_length() - 2]
    act = [nn.LeakyReLU(0.2), PixelNorm()]
    dense = Equalized(nn.Linear(LATENT + CLASSES, widths[0] * 16), sqrt(2) / 4)
    layers = [dense, nn.Unflatten(1, (widths[0], 4, 4)), *act, conv(widths[0], widths[0]), *act]
    for before, after in pairwise(widths):
        layers += [nn.Upsample(scale_factor=2), conv(before, after), *act, conv(after, after), *act]
    return nn.Sequential(*layers, conv(widths[-1], CHANNELS, 1, gain=1.0))


def discriminator(size: int) -> nn.Sequential:
    """Images (B, 3, size, size) to the critic's score and the class logits, (B, 3)."""
    widths = FEATURES[: size.bit_length() - 2][::-1]
    layers = [conv(CHANNELS, widths[0], 1), nn.LeakyReLU(0.2)]
    for after, before in pairwise(widths):
        layers += [conv(after, after), nn.LeakyReLU(0.2), conv(after, before), nn.AvgPool2d(2), nn.LeakyReLU(0.2)]
    layers += [GroupDeviation(), conv(widths[-1] + 1, widths[-1]), nn.LeakyReLU(0.2), nn.Flatten()]
    layers += [Equalized(nn.Linear(widths[-1] * 16, widths[-1])), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, Equalized(nn.Linear(widths[-1], 1 + CLASSES), 1.0))


def train(generator: nn.Module, discriminator: nn.Module, images: DataLoader, steps: int) -> list[tuple]:
    """The losses of every step."""
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    average = deepcopy(generator)
    losses = []
    for step, (real, labels) in enumerate(tutorial.batches(images, steps)):
        code = torch.cat([normal(len(real)), functional.one_hot(labels, CLASSES).float()], 1)
        fake = generator(code)
        discriminator.zero_grad()
        of_real, of_fake = discriminator(real), discriminator(fake.detach())
        loss_d = of_fake[:, 0].mean() - of_real[:, 0].mean() + 0.001 * of_real[:, 0].pow(2).mean()
        loss_d = loss_d + class_loss(of_real, labels) + class_loss(of_fake, labels)
        if step % PENALTY_EVERY == 0:
            loss_d = loss_d + PENALTY_EVERY * 10 * penalty(discriminator, real, fake.detach())
        loss_d.backward()
        optimizer_d.step()
        generator.zero_grad()
        of_fake = discriminator(fake)
        loss_g = class_loss(of_fake, labels) - of_fake[:, 0].mean()
        loss_g.backward()
        optimizer_g.step()
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), generator.parameters(), strict=True):
                mean.mul_(0.999).add_(weight, alpha=0.001)
        losses.append((loss_d.item(), loss_g.item()))
    return losses


def normal(count: int) -> torch.Tensor:
    """Random latent vectors, scaled to a length of the square root of their size."""
    return PixelNorm()(torch.randn(count, LATENT))


def class_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(scores[:, 1:], labels)


def penalty(discriminator: nn.Module, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The gradient penalty (Gulrajani et al. 2017)."""
    along = torch.rand(len(real), 1, 1, 1)
    mixed = (along * real + (1 - along) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(mixed)[:, 0].sum(), mixed, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).pow(2).mean()
