"""Dropout that is fast on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """During training, sets each value to zero with probability `rate`, and divides the others by 1 - `rate`.

    The same function as torch.nn.Dropout, which draws its mask with `bernoulli_`: that took a third of kth-cnn's step
    on a CPU. Comparing uniform random numbers with the rate takes half as long.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        """The values with some of them dropped, in the same shape, type and memory layout."""
        if not self.training or self.rate == 0:
            return values
        keep = torch.rand_like(values, dtype=torch.float32).ge_(self.rate)  # 1.0 or 0.0
        return values * keep.mul_(1 / (1 - self.rate)).to(values.dtype)
