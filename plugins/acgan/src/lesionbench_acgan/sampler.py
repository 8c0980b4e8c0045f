"""The sampler of `acgan`: the generator, with drawing, saving and loading."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from lesionbench import ContractError, derive_seed
from lesionbench.torchkit.sampling import draw_nested, load_networks, restored_network, save_networks
from lesionbench_acgan.networks import Blueprint, uniform_noise

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from lesionbench import Images
    from lesionbench.torchkit.sampling import State


@dataclass(frozen=True, eq=False)
class AcganSampler:
    """The generator of one fit, for every class.

    It always draws on the CPU in float32, on whatever device it was trained, so a seed means one set of images.
    shape: height, width and channels of the images that it draws.
    """

    plan: Blueprint
    shape: tuple[int, int, int]
    generator: nn.Module

    @classmethod
    def of(cls, plan: Blueprint, shape: tuple[int, int, int], state: State) -> AcganSampler:
        """The sampler with these weights; fitted and loaded samplers are both made here."""
        return cls(plan, shape, restored_network(plan.generator, state))

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` synthetic images of one class, uint8 (count, H, W, C), using batch norm's running statistics."""
        if not 0 <= label < self.plan.classes:
            raise ContractError(f"a label must lie in 0..{self.plan.classes - 1}, not {label}")
        random = torch.Generator().manual_seed(derive_seed("acgan draw", seed, label))

        def draw(number: int) -> torch.Tensor:
            images: torch.Tensor = self.generator(uniform_noise(number, random), torch.full((number,), label))
            return images

        return draw_nested(draw, count, self.shape)

    def save(self, folder: Path) -> None:
        save_networks(folder, {"networks": asdict(self.plan), "shape": self.shape}, [self.generator])

    @classmethod
    def load(cls, folder: Path) -> AcganSampler:
        """The sampler that `save` wrote."""
        settings, (state,) = load_networks(folder)
        height, width, channels = settings["shape"]
        return cls.of(Blueprint(**settings["networks"]), (height, width, channels), state)
