"""What a fit leaves: one generator a class, which draws, saves and loads itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

from lesionbench.errors import ContractError
from lesionbench.pipeline.context import derive_seed
from lesionbench.torchkit.tensors import to_images
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan.networks import ARCHITECTURES

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from lesionbench.pipeline.images import Images

CHUNK = 16  # images in one pass; part of what a seed means, because a batch's size can change the last bit
SETTINGS, WEIGHTS = "sampler.json", "generators.safetensors"

State = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class DcganSampler:
    """The generators of one fit, in the order of the classes.

    They draw on the CPU and in float32, wherever and however they learnt, so that a seed means one set of images.
    shape: height, width and channels of the images it draws.
    """

    architecture: str
    shape: tuple[int, int, int]
    generators: tuple[nn.Module, ...]

    @classmethod
    def of(cls, architecture: str, shape: tuple[int, int, int], states: list[State]) -> DcganSampler:
        """The sampler with these weights, a state a class; the one way to make it, so that a loaded one is the same."""
        generators = []
        for state in states:
            with torch.device("meta"):  # without weights, so that none are drawn from torch's global random state
                generator = ARCHITECTURES[architecture].generator(shape[2])
            generator.load_state_dict({name: tensor.contiguous() for name, tensor in state.items()}, assign=True)
            generators.append(generator.to(memory_format=torch.channels_last).eval())
        return cls(architecture, shape, tuple(generators))

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` synthetic images of one class: uint8 (count, H, W, C), by the running statistics of batch norm."""
        if not 0 <= label < len(self.generators):
            raise ContractError(f"a label must lie in 0..{len(self.generators) - 1}, not {label}")
        random = torch.Generator().manual_seed(derive_seed("dcgan draw", seed, label))
        noise = ARCHITECTURES[self.architecture].noise
        with torch_session(seed), torch.inference_mode():
            chunks = [self._images(label, noise(CHUNK, random)) for _ in range(0, count, CHUNK)]
        return np.concatenate([np.zeros((0, *self.shape), np.uint8), *chunks])[:count]

    def _images(self, label: int, noise: torch.Tensor) -> Images:
        drawn = self.generators[label](noise)  # (B, C, size, size)
        if drawn.shape[2:] != self.shape[:2]:
            drawn = interpolate(drawn, size=self.shape[:2], mode="bilinear", align_corners=False, antialias=True)
        return to_images(drawn)

    def save(self, folder: Path) -> None:
        weights = {
            f"{label}.{name}": tensor.contiguous()
            for label, generator in enumerate(self.generators)
            for name, tensor in generator.state_dict().items()
        }
        save_file(weights, folder / WEIGHTS)
        settings = {"architecture": self.architecture, "shape": self.shape, "classes": len(self.generators)}
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> DcganSampler:
        """The sampler that `save` wrote."""
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        states: list[State] = [{} for _ in range(settings["classes"])]
        for key, tensor in load_file(folder / WEIGHTS).items():
            label, _, name = key.partition(".")
            states[int(label)][name] = tensor
        height, width, channels = settings["shape"]
        return cls.of(settings["architecture"], (height, width, channels), states)
