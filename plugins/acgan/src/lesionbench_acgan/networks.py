"""The networks of the two papers, for images of any power of two and any number of classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import one_hot

from lesionbench.torchkit.convolutions import Conv2d, ConvTranspose2d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench_acgan import AcganSettings

NOISE = 100  # length of z in both papers
EMBEDDING = 10  # not stated by Frid-Adar et al.; with 10, z and class are 110 numbers, as in Odena et al.


class Generator(nn.Module):
    """Noise (B, 100) and labels (B,) to images (B, C, size, size) in [-1, 1].

    A linear layer to widths[0] maps of side x side, then a 5x5 fractionally strided convolution for each further width
    and for the image, each doubling the side; batch norm and ReLU after all layers but the last, which has tanh.
    """

    def __init__(self, condition: nn.Module, inputs: int, side: int, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.condition = condition  # labels (B,) to float (B, inputs - NOISE)
        self.side = side
        self.project = nn.Linear(inputs, widths[0] * side * side)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(widths):
            layers += [_up(before, after), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.main = nn.Sequential(*layers, _up(widths[-1], channels), nn.Tanh())

    def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        flat = self.project(torch.cat([noise, self.condition(labels)], dim=1))
        small = flat.view(len(flat), -1, self.side, self.side)  # (B, widths[0], side, side)
        images: torch.Tensor = self.main(small.contiguous(memory_format=torch.channels_last))
        return images


class OneHot(nn.Module):
    """Labels (B,) to float32 (B, classes): 1 for the label, else 0."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        return one_hot(labels, self.classes).float()


class Discriminator(nn.Module):
    """Images (B, C, size, size) to logits (B,) of being real, and class logits (B, K); both use the same `body`."""

    def __init__(self, body: nn.Sequential, features: int, classes: int) -> None:
        super().__init__()
        self.body = body  # to (B, features)
        self.heads = nn.Linear(features, 1 + classes)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.heads(self.body(images))  # (B, 1 + K)
        return logits[:, 0], logits[:, 1:]


class ClassHead(nn.Module):
    """The discriminator as a classifier: images (B, C, size, size) to class logits (B, K)."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        classes: torch.Tensor = self.discriminator(images)[1]
        return classes


@dataclass(frozen=True)
class Blueprint:
    """What the two networks of one fit are built from: plain values, which are saved with the sampler."""

    architecture: str
    size: int
    width: int
    channels: int
    classes: int

    @classmethod
    def of(cls, settings: AcganSettings, channels: int, classes: int) -> Blueprint:
        """The blueprint for images with this many channels and classes."""
        return cls(settings.architecture, settings.size, settings.width, channels, classes)

    def generator(self) -> Generator:
        """A new generator, with torch's default initialization."""
        return (odena_generator if self.architecture == "odena" else frid_adar_generator)(self)

    def discriminator(self) -> Discriminator:
        """A new discriminator, with torch's default initialization."""
        return (odena_discriminator if self.architecture == "odena" else frid_adar_discriminator)(self)


def frid_adar_generator(plan: Blueprint) -> Generator:
    """DCGAN's generator with a class embedding (Frid-Adar et al. 2018, sections III-B and III-C).

    At 64 px and width 64 its maps are the paper's: 1024 of 4x4, 512 of 8x8, 256 of 16x16, 128 of 32x32. For one channel
    and three classes it has 19,025,951 weights and biases, and 3,840 of batch norm. Smaller sizes omit the first maps;
    larger ones have more layers of 1024.
    """
    doublings = plan.size.bit_length() - 3  # of the side, from 4 px
    widths = [plan.width * min(2**power, 16) for power in range(doublings, 0, -1)]
    condition = nn.Embedding(plan.classes, EMBEDDING)
    return Generator(condition, NOISE + EMBEDDING, 4, widths, plan.channels)


def frid_adar_discriminator(plan: Blueprint) -> Discriminator:
    """DCGAN's discriminator with a class head: strided 5x5 convolutions, batch norm except at the input, LeakyReLU 0.2.

    The paper does not state the number of filters: at 64 px and width 64 these are the usual 64, 128, 256 and 512
    (Radford et al. 2016). For one channel and three classes it has 4,336,132 weights and biases, and 1,792 of
    batch norm.
    """
    doublings = plan.size.bit_length() - 3
    widths = [plan.channels, *(plan.width * min(2**power, 8) for power in range(doublings))]
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        layers.append(Conv2d(before, after, 5, stride=2, padding=2))
        layers += [nn.BatchNorm2d(after)] if number else []
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return Discriminator(nn.Sequential(*layers, nn.Flatten()), widths[-1] * 4 * 4, plan.classes)


def odena_generator(plan: Blueprint) -> Generator:
    """A linear layer and four 5x5 fractionally strided convolutions (Odena et al. 2016, appendix).

    The label is appended to z as one number for each class: 110 inputs for 10 classes. At width 16 the maps are the
    paper's 768, 384, 256 and 192; images start at a sixteenth of their side: 8x8 for the paper's 128 px.
    """
    widths = [plan.width * times for times in (48, 24, 16, 12)]
    return Generator(OneHot(plan.classes), NOISE + plan.classes, plan.size // 16, widths, plan.channels)


def odena_discriminator(plan: Blueprint) -> Discriminator:
    """Six 3x3 convolutions, every other one strided, with LeakyReLU 0.2 and dropout 0.5 (Odena et al. 2016, appendix).

    At width 16 they have the paper's 16, 32, 64, 128, 256 and 512 channels; batch norm after all but the first.
    """
    widths = [plan.channels, *(plan.width * 2**power for power in range(6))]
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        layers.append(Conv2d(before, after, 3, stride=1 if number % 2 else 2, padding=1))
        layers += [nn.BatchNorm2d(after)] if number else []
        layers += [nn.LeakyReLU(0.2, inplace=True), nn.Dropout(0.5)]
    side = plan.size // 8
    return Discriminator(nn.Sequential(*layers, nn.Flatten()), widths[-1] * side * side, plan.classes)


def _up(before: int, after: int) -> ConvTranspose2d:
    return ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


def uniform_noise(count: int, random: torch.Generator) -> torch.Tensor:
    """z from U[-1, 1]: float32 (count, 100)."""
    return torch.rand(count, NOISE, generator=random).mul_(2.0).sub_(1.0)
