"""The two networks, with all levels from the start; training uses more and more levels (Karras et al. 2017, A.1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from lesionbench_progressive_gan.layers import (
    GAIN,
    Convolution,
    Linear,
    downsampled,
    leaky,
    pixel_norm,
    upsampled,
    with_deviation,
)
from lesionbench_progressive_gan.schedule import FIRST, Moment, level_of


@dataclass(frozen=True)
class Blueprint:
    """What the layers depend on: size and channels of the images, the number of classes, and the widths.

    classes: 0 for networks without class labels.
    """

    size: int
    channels: int
    classes: int
    latent: int
    width: int
    base: int

    @property
    def last(self) -> int:
        """The last level."""
        return level_of(self.size)

    def features(self, level: int) -> int:
        """The number of features in a level's layers: halved at every level, at most `width` (the paper's stages)."""
        return max(1, min(self.base >> (level + 1), self.width))


class Generator(nn.Module):
    """Codes (B, latent + classes) to images (B, C, size, size), mostly in [-1, 1]: the output is linear."""

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        features = [plan.features(level) for level in range(plan.last + 1)]
        # The gain is a quarter of He's: the layer's inputs are not those of a ReLU, and fewer than its outputs.
        self.first = Linear(plan.latent + plan.classes, features[0] * FIRST**2, GAIN / 4)
        self.second = Convolution(features[0], features[0])
        pairs = list(pairwise(features))
        self.enlarging = nn.ModuleList(Convolution(before, after, resampling="up") for before, after in pairs)
        self.refining = nn.ModuleList(Convolution(after, after) for _, after in pairs)
        self.to_colour = nn.ModuleList(Convolution(width, plan.channels, 1, gain=1.0) for width in features)

    def forward(self, codes: torch.Tensor, moment: Moment) -> torch.Tensor:
        """Images of the moment's level, (B, C, h, w), blended with the level below while it fades in."""
        small = self.first(codes).view(len(codes), -1, FIRST, FIRST).contiguous(memory_format=torch.channels_last)
        features = pixel_norm(leaky(self.second(pixel_norm(leaky(small)))))
        before = features
        for enlarge, refine in list(zip(self.enlarging, self.refining, strict=True))[: moment.level]:
            before = features
            features = pixel_norm(leaky(refine(pixel_norm(leaky(enlarge(features))))))
        images: torch.Tensor = self.to_colour[moment.level](features)
        if moment.fade < 1:
            images = torch.lerp(upsampled(self.to_colour[moment.level - 1](before)), images, moment.fade)
        return images


class Discriminator(nn.Module):
    """Images (B, C, h, w) of a level to scores (B, 1 + classes): the critic's score, then the class logits."""

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        features = [plan.features(level) for level in range(plan.last + 1)]
        pairs = list(pairwise(features))
        self.from_colour = nn.ModuleList(Convolution(plan.channels, width, 1) for width in features)
        self.refining = nn.ModuleList(Convolution(after, after) for _, after in pairs)
        self.shrinking = nn.ModuleList(Convolution(after, before, resampling="down") for before, after in pairs)
        self.mixing = Convolution(features[0] + 1, features[0])
        self.gathering = Linear(features[0] * FIRST**2, features[0])
        self.scoring = Linear(features[0], 1 + plan.classes, gain=1.0)

    def forward(self, images: torch.Tensor, moment: Moment) -> torch.Tensor:
        features = leaky(self.from_colour[moment.level](images))
        for level in range(moment.level - 1, -1, -1):
            features = leaky(self.shrinking[level](leaky(self.refining[level](features))))
            if level == moment.level - 1 and moment.fade < 1:
                features = torch.lerp(leaky(self.from_colour[level](downsampled(images))), features, moment.fade)
        mixed = leaky(self.mixing(with_deviation(features)))
        scores: torch.Tensor = self.scoring(leaky(self.gathering(mixed.flatten(1))))
        return scores
