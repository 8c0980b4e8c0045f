"""The sampler of `progressive-gan`: the averaged generators, with drawing, saving and loading."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from lesionbench import ContractError, derive_seed
from lesionbench.torchkit.sampling import draw_nested, load_networks, restored_network, save_networks
from lesionbench_progressive_gan.codes import codes, latents
from lesionbench_progressive_gan.networks import Blueprint, Generator
from lesionbench_progressive_gan.schedule import Moment

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from lesionbench import Images
    from lesionbench.torchkit.sampling import State


@dataclass(frozen=True, eq=False)
class ProgressiveSampler:
    """The generators of one fit: one with class labels, or one for each class in the order of the classes.

    They always draw on the CPU in float32, on whatever device they were trained, so a seed means one set of images.
    shape: height, width and channels of the images that they draw.
    """

    plan: Blueprint
    shape: tuple[int, int, int]
    generators: tuple[nn.Module, ...]

    @classmethod
    def of(cls, plan: Blueprint, shape: tuple[int, int, int], states: list[State]) -> ProgressiveSampler:
        """The sampler with these weights; fitted and loaded samplers are both made here."""
        return cls(plan, shape, tuple(restored_network(lambda: Generator(plan), state) for state in states))

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` synthetic images of one class: uint8 (count, H, W, C)."""
        classes = self.plan.classes or len(self.generators)
        if not 0 <= label < classes:
            raise ContractError(f"a label must lie in 0..{classes - 1}, not {label}")
        generator = self.generators[0 if self.plan.classes else label]
        random = torch.Generator().manual_seed(derive_seed("progressive-gan draw", seed, label))

        def draw(number: int) -> torch.Tensor:
            code = codes(latents(number, self.plan.latent, random), torch.full((number,), label), self.plan.classes)
            images: torch.Tensor = generator(code, Moment(self.plan.last, 1.0))
            return images

        return draw_nested(draw, count, self.shape)

    def save(self, folder: Path) -> None:
        save_networks(folder, {"networks": asdict(self.plan), "shape": self.shape}, self.generators)

    @classmethod
    def load(cls, folder: Path) -> ProgressiveSampler:
        """The sampler that `save` wrote."""
        settings, states = load_networks(folder)
        height, width, channels = settings["shape"]
        return cls.of(Blueprint(**settings["networks"]), (height, width, channels), states)
