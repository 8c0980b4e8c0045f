"""The networks of the two papers, and the noise that is the input of each generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from lesionbench.torchkit.convolutions import Conv2d, ConvTranspose2d

if TYPE_CHECKING:
    from collections.abc import Callable

NOISE = 100  # length of z in both papers


class KthGenerator(nn.Module):
    """Noise (B, 100) to images (B, C, 32, 32) in [-1, 1]; 370,624 weights for C = 3 (KTH report, appendix)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            ConvTranspose2d(NOISE, 128, 4, bias=False),  # (B, 128, 4, 4)
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            ConvTranspose2d(128, 64, 4, 2, 1, bias=False),  # (B, 64, 8, 8)
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            ConvTranspose2d(64, 32, 4, 2, 1, bias=False),  # (B, 32, 16, 16)
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            ConvTranspose2d(32, channels, 4, 2, 1, bias=False),  # (B, C, 32, 32)
            nn.Tanh(),
        )

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.main(noise[:, :, None, None])
        return images


class FridAdarGenerator(nn.Module):
    """Noise (B, 100) to images (B, C, 64, 64) in [-1, 1] (Frid-Adar et al. 2018, section III-B and figure 5).

    For C = 1 it has 18,862,081 weights and biases, and 3,840 of batch norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(NOISE, 4 * 4 * 1024)
        layers: list[nn.Module] = [nn.BatchNorm2d(1024), nn.ReLU(inplace=True)]
        for before, after in ((1024, 512), (512, 256), (256, 128)):  # 4 to 8 to 16 to 32 px
            layers += [_up(before, after), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.main = nn.Sequential(*layers, _up(128, channels), nn.Tanh())

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        small = self.project(noise).view(-1, 1024, 4, 4)
        channels_last = small.permute(0, 2, 3, 1).contiguous()  # stacks of networks know no memory format
        images: torch.Tensor = self.main(channels_last.permute(0, 3, 1, 2))
        return images


def _up(before: int, after: int) -> ConvTranspose2d:
    return ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


class Discriminator(nn.Module):
    """Images (B, C, size, size) to the probability (B,) that each is real; the last layer of `main` is the sigmoid."""

    main: nn.Sequential

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """The logits before the sigmoid, (B,): cross-entropy of them stays exact where the sigmoid saturates."""
        scores: torch.Tensor = self.main[:-1](images)
        return scores.flatten()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.logits(images))


class KthDiscriminator(Discriminator):
    """For 32 px; 167,872 weights for C = 3; batch norm also after the first convolution (KTH report, appendix)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((channels, 32), (32, 64), (64, 128)):  # 32 to 16 to 8 to 4 px
            layers += [Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), _leaky()]
        self.main = nn.Sequential(*layers, Conv2d(128, 1, 4, bias=False), nn.Sigmoid())


class FridAdarDiscriminator(Discriminator):
    """For 64 px (Frid-Adar et al. 2018, section III-B).

    For C = 1 it has 4,311,553 weights and biases, and 1,792 of batch norm. The paper does not state the number
    of filters: these are the usual 64, 128, 256 and 512 (Radford et al. 2016).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_down(channels, 64), _leaky()]
        for before, after in ((64, 128), (128, 256), (256, 512)):  # 32 to 16 to 8 to 4 px
            layers += [_down(before, after), nn.BatchNorm2d(after), _leaky()]
        self.main = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 4 * 4, 1), nn.Sigmoid())


def _down(before: int, after: int) -> Conv2d:
    return Conv2d(before, after, 5, stride=2, padding=2)


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


def normal_noise(count: int, random: torch.Generator) -> torch.Tensor:
    """z from N(0, 1): float32 (count, 100)."""
    return torch.randn(count, NOISE, generator=random)


def uniform_noise(count: int, random: torch.Generator) -> torch.Tensor:
    """z from U[-1, 1]: float32 (count, 100)."""
    return torch.rand(count, NOISE, generator=random).mul_(2.0).sub_(1.0)


@dataclass(frozen=True)
class Architecture:
    """One paper's networks, the side of their square images in pixels, and their noise."""

    size: int
    generator: Callable[[int], nn.Module]  # from the number of channels
    discriminator: Callable[[int], Discriminator]
    noise: Callable[[int, torch.Generator], torch.Tensor]


ARCHITECTURES = {
    "kth": Architecture(32, KthGenerator, KthDiscriminator, normal_noise),
    "frid-adar": Architecture(64, FridAdarGenerator, FridAdarDiscriminator, uniform_noise),
}
