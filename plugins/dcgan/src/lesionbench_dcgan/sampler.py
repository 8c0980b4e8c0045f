"""The sampler of `dcgan`: one generator for each class, with drawing, saving and loading."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from lesionbench import ContractError, derive_seed
from lesionbench.torchkit.sampling import draw_nested, load_networks, restored_network, save_networks
from lesionbench_dcgan.networks import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from lesionbench import Images
    from lesionbench.torchkit.sampling import State


@dataclass(frozen=True, eq=False)
class DcganSampler:
    """The generators of one fit, in the order of the classes.

    They always draw on the CPU in float32, on whatever device they were trained, so a seed means one set of images.
    shape: height, width and channels of the images that they draw.
    """

    architecture: str
    shape: tuple[int, int, int]
    generators: tuple[nn.Module, ...]

    @classmethod
    def of(cls, architecture: str, shape: tuple[int, int, int], states: Sequence[State]) -> DcganSampler:
        """The sampler with the weights of each class; fitted and loaded samplers are both made here."""
        make = partial(ARCHITECTURES[architecture].generator, shape[2])
        return cls(architecture, shape, tuple(restored_network(make, state) for state in states))

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` synthetic images of one class, uint8 (count, H, W, C), using batch norm's running statistics."""
        if not 0 <= label < len(self.generators):
            raise ContractError(f"a label must lie in 0..{len(self.generators) - 1}, not {label}")
        random = torch.Generator().manual_seed(derive_seed("dcgan draw", seed, label))
        noise, generator = ARCHITECTURES[self.architecture].noise, self.generators[label]
        return draw_nested(lambda number: generator(noise(number, random)), count, self.shape)

    def save(self, folder: Path) -> None:
        settings = {"architecture": self.architecture, "shape": self.shape, "classes": len(self.generators)}
        save_networks(folder, settings, self.generators)

    @classmethod
    def load(cls, folder: Path) -> DcganSampler:
        """The sampler that `save` wrote."""
        settings, states = load_networks(folder)
        height, width, channels = settings["shape"]
        return cls.of(settings["architecture"], (height, width, channels), states)
