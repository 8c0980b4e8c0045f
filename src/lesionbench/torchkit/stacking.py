"""Networks of the same layers stacked into one: a GPU, which a single small network leaves idle, trains all at once."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call, vmap

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stacked(nn.Module):
    """Several networks of the same layers as one; its inputs and outputs are those of all networks, (networks, B, ...).

    Each network computes what it would alone, but for rounding: every weight and every running statistic of batch norm
    is a stack of theirs. The given networks stay in use: their weights become slices of the stacks.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = deepcopy(networks[0])
        states = [network.state_dict(keep_vars=True) for network in networks]
        for name, stack in self.layers.state_dict(keep_vars=True).items():
            stack.data = torch.stack([state[name].data for state in states])
            for state, own in zip(states, stack.data, strict=True):
                state[name].data = own
        for layer in self.layers.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(_widen)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The outputs of all networks, (networks, B, ...), each from its own inputs."""

        def of_one(state: dict[str, torch.Tensor], *own: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = functional_call(self.layers, state, own)
            return output

        outputs: torch.Tensor = vmap(of_one)(self.layers.state_dict(keep_vars=True), *inputs)
        return outputs


def _widen(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The inputs of batch norm in the type of its weights: on the CPU, `vmap` knows no batch norm of mixed types."""
    assert isinstance(norm, nn.BatchNorm2d)
    return tuple(features.to(norm.weight.dtype) for features in inputs)
