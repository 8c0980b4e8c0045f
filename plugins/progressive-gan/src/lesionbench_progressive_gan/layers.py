"""The layers of the networks (Karras et al. 2017, sections 3 and 4)."""

from __future__ import annotations

from math import prod, sqrt
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

GAIN = sqrt(2)  # He's gain, for layers followed by a leaky ReLU
GROUP = 4  # images over which the discriminator sees the standard deviation (section 3)
EPSILON = 1e-8

Resampling = Literal["none", "up", "down"]


class Equalized(nn.Module):
    """A layer with weights from N(0, 1) that are scaled by gain / sqrt(fan in) at every use (section 4.1).

    shape: of the weights, outputs first.
    """

    def __init__(self, shape: tuple[int, ...], gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[0]))
        self.scale = gain / sqrt(prod(shape[1:]))

    def effective(self) -> torch.Tensor:
        """The scaled weights."""
        return self.weight * self.scale


class Linear(Equalized):
    """Features (B, before) to (B, after)."""

    def __init__(self, before: int, after: int, gain: float = GAIN) -> None:
        super().__init__((after, before), gain)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.linear(features, self.effective(), self.bias)


class Convolution(Equalized):
    """Features (B, before, H, W) to (B, after, H, W), or to twice or half the height and width.

    `up` is nearest-neighbour upsampling followed by the convolution, `down` the convolution followed by average
    pooling. Both are linear, so each is computed as one strided convolution with a kernel that is one pixel wider, for
    less than half of the work.
    """

    def __init__(
        self, before: int, after: int, kernel: int = 3, gain: float = GAIN, resampling: Resampling = "none"
    ) -> None:
        super().__init__((after, before, kernel, kernel), gain)
        self.padding = kernel // 2
        self.resampling = resampling

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        weight = self.effective()
        if self.resampling == "up":
            # A transposed convolution applies its kernel mirrored.
            kernel = shifted_sum(weight).flip(2, 3).transpose(0, 1)
            return functional.conv_transpose2d(features, kernel, self.bias, stride=2, padding=self.padding)
        if self.resampling == "down":
            return functional.conv2d(features, shifted_sum(weight) / 4, self.bias, stride=2, padding=self.padding)
        return functional.conv2d(features, weight, self.bias, padding=self.padding)


def shifted_sum(kernel: torch.Tensor) -> torch.Tensor:
    """The sum of a kernel (..., k, k) over the four shifts in a 2 x 2 window: (..., k + 1, k + 1)."""
    padded = functional.pad(kernel, (1, 1, 1, 1))
    rows = padded[..., 1:, :] + padded[..., :-1, :]
    return rows[..., 1:] + rows[..., :-1]


def draw_weights(network: nn.Module, random: torch.Generator) -> None:
    """Draw every weight from N(0, 1) and set every bias to 0."""
    for module in network.modules():
        if isinstance(module, Equalized):
            nn.init.normal_(module.weight, generator=random)
            nn.init.zeros_(module.bias)


def pixel_norm(features: torch.Tensor) -> torch.Tensor:
    """The features (B, C, ...), scaled to a mean square of 1 over C (section 4.2)."""
    return features * torch.rsqrt(features.square().mean(1, keepdim=True) + EPSILON)


def leaky(features: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with slope 0.2."""
    return functional.leaky_relu(features, 0.2)


def with_deviation(features: torch.Tensor) -> torch.Tensor:
    """The features (B, C, H, W) with one more map: how much the images of each group vary (section 3).

    A group is GROUP consecutive images, or the whole batch if it is smaller; B is a multiple of the group's size. The
    map's value is the group's standard deviation of each feature at each position, averaged over both.
    """
    count, channels, height, width = features.shape
    groups = features.float().reshape(-1, min(GROUP, count), channels, height, width)
    deviation = (groups.var(1, correction=0) + EPSILON).sqrt().mean((1, 2, 3))  # (groups,)
    each = deviation.repeat_interleave(groups.shape[1]).view(count, 1, 1, 1)
    return torch.cat([features, each.expand(-1, 1, height, width).to(features.dtype)], dim=1)


def upsampled(images: torch.Tensor) -> torch.Tensor:
    """Images (B, C, H, W) at twice the height and width, every pixel repeated."""
    return functional.interpolate(images, scale_factor=2.0, mode="nearest")


def downsampled(images: torch.Tensor, factor: int = 2) -> torch.Tensor:
    """Images (B, C, H, W) at 1 / factor of the height and width, pixels averaged."""
    return functional.avg_pool2d(images, factor) if factor > 1 else images
