"""Samplers that draw with networks: drawing images, saving weights, loading them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from torch.overrides import TorchFunctionMode

from lesionbench.torchkit.tensors import to_images
from lesionbench.torchkit.training import torch_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import nn

    from lesionbench.pipeline.images import Images

CHUNK = 16  # images in one pass; part of what a seed means, because the batch size can change the last bit
SETTINGS, WEIGHTS = "sampler.json", "generators.safetensors"

State = dict[str, torch.Tensor]


def draw_nested(draw: Callable[[int], torch.Tensor], count: int, shape: tuple[int, int, int]) -> Images:
    """`count` images of this shape, uint8 (count, H, W, C); a smaller count gives the first of them.

    draw: returns the next n images on the CPU, float (n, C, any height, any width) in [-1, 1]; called with n = CHUNK
    in a torch session of one thread, without gradients.
    """
    with torch_session(0), torch.inference_mode():  # only `draw` is random, and it has its own generator
        chunks = [to_images(_scaled(draw(CHUNK), shape)) for _ in range(0, count, CHUNK)]
    return np.concatenate([np.zeros((0, *shape), np.uint8), *chunks])[:count]


def _scaled(images: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    if images.shape[2:] == shape[:2]:
        return images
    return interpolate(images, size=shape[:2], mode="bilinear", align_corners=False, antialias=True)


class _Undrawn(TorchFunctionMode):
    """Skips the functions of torch.nn.init: on the meta device, `normal_` imports sympy, which takes half a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        skipped = getattr(func, "__module__", None) == "torch.nn.init"
        return kwargs["tensor"] if skipped else func(*args, **kwargs or {})


def restored_network(make: Callable[[], nn.Module], state: State) -> nn.Module:
    """The network that `make` builds, with these weights, in evaluation mode; for fitted and loaded samplers."""
    with torch.device("meta"), _Undrawn():  # allocates and draws no weights
        network = make()
    network.load_state_dict({name: tensor.contiguous() for name, tensor in state.items()}, assign=True)
    return network.to(memory_format=torch.channels_last).eval()


def save_networks(folder: Path, settings: dict[str, Any], networks: Sequence[nn.Module]) -> None:
    """Write the weights as safetensors and the settings as JSON, for `load_networks` to read."""
    weights = {
        f"{number}.{name}": tensor.contiguous()
        for number, network in enumerate(networks)
        for name, tensor in network.state_dict().items()
    }
    save_file(weights, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")


def load_networks(folder: Path) -> tuple[dict[str, Any], list[State]]:
    """The settings and the weights of every network, in order, that `save_networks` wrote."""
    states: dict[int, State] = {}
    for key, tensor in load_file(folder / WEIGHTS).items():
        number, _, name = key.partition(".")
        states.setdefault(int(number), {})[name] = tensor
    settings: dict[str, Any] = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    return settings, [states[number] for number in sorted(states)]
