"""Networks of the same layers stacked into one: a GPU, which a single small network leaves idle, trains all at once."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.functional import batch_norm

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
        self._kept: set[str] = set()  # names of what autocast leaves in float32
        for prefix, layer in self.layers.named_modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.__class__ = _BatchNorm  # the same attributes with another forward pass
                self._kept |= {f"{prefix}.{name}" for name in layer.state_dict()}

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The outputs of all networks, (networks, B, ...), each from its own inputs."""
        state, device = self.layers.state_dict(keep_vars=True), inputs[0].device.type
        if torch.is_autocast_enabled(device):  # which does not reach the convolutions inside of `vmap`
            dtype = torch.get_autocast_dtype(device)
            state = {name: value if name in self._kept else value.to(dtype) for name, value in state.items()}
            inputs = tuple(value.to(dtype) for value in inputs)

        def of_one(state: dict[str, torch.Tensor], *own: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = functional_call(self.layers, state, own)
            return output

        outputs: torch.Tensor = vmap(of_one)(state, *inputs)
        return outputs


class _BatchNorm(nn.BatchNorm2d):
    """Batch norm with weights and running statistics, inside a stack: one batch norm over the features of all networks.

    With what `vmap` makes of batch norm, a step of three DCGANs (kth) starts 326 operations instead of 243, and on the
    CPU it refuses bfloat16.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(self.training)
        state = self.weight, self.bias, self.running_mean, self.running_var
        normed: torch.Tensor = _SideBySide.apply(features, *state, self.training, self.momentum, self.eps)
        return normed


class _SideBySide(torch.autograd.Function):
    """`batch_norm`, for which `vmap` puts the features of all networks side by side."""

    @staticmethod
    def forward(*given: Any) -> torch.Tensor:
        return batch_norm(*given)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: torch.Tensor) -> None:
        """Nothing: `vmap` calls differentiable functions instead of `forward`."""

    @staticmethod
    def vmap(_info: Any, in_dims: tuple[int, ...], features: torch.Tensor, *given: Any) -> tuple[torch.Tensor, int]:
        weight, bias, mean, variance, *settings = given  # (networks, C) each
        stack = features.movedim(in_dims[0], 1)  # (B, networks, C, H, W)
        states = (mean.view(-1), variance.view(-1), weight.flatten(), bias.flatten())
        normed = batch_norm(stack.flatten(1, 2), *states, *settings)
        return normed.reshape(stack.shape), 1
