"""ReLU and dropout in one layer that is fast on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ReluDropout(nn.Module):
    """The ReLU; during training, each value is then zero with probability `rate`, or else divided by 1 - rate.

    The same function as torch.nn.ReLU and torch.nn.Dropout, which draws its mask with `bernoulli_`: on a CPU, they take
    four times as long, 12 ms of kth-cnn's step.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        """The values with some of them dropped, in the same shape, type and memory layout."""
        if not self.training or self.rate == 0:
            return values.relu()
        dropped: Tensor = _Dropped.apply(values, self.rate)
        return dropped


class _Dropped(torch.autograd.Function):
    """The positive values, scaled by 1 / (1 - rate), or zero where a value is dropped."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float) -> Tensor:
        ctx.scale = 1 / (1 - rate)
        keep = torch.empty_like(values)  # 0 or the scale, in the memory layout of the values
        keep.as_strided((keep.numel(),), (1,)).copy_(_kept(keep.numel(), rate, values.device))
        result = values.relu().mul_(keep.mul_(ctx.scale))
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors  # positive where the gradient passes both the ReLU and the dropout
        through: Tensor = torch.ops.aten.threshold_backward(gradient, result, 0)
        return through.mul_(ctx.scale), None


def _kept(count: int, rate: float, device: torch.device) -> Tensor:
    """Which of `count` values are not dropped, as 1 or 0: int8 if the rate is a multiple of 1/256, else int32.

    A random number of 64 bits decides about eight values, or about two.
    """
    bits = 8 if (256 * rate).is_integer() else 32
    draws = torch.empty(-(-count * bits // 64), dtype=torch.int64, device=device).random_(-(2**63), None)
    parts = draws.view(torch.int8 if bits == 8 else torch.int32)[:count]
    return parts.ge_(min(round(rate * 2**bits), 2**bits - 1) - 2 ** (bits - 1))
