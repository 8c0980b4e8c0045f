"""Convolutions that are computed as matrix products where that is faster than torch's own: the same layers and weights.

A window is the part of a map that the kernel covers at one position, written as one row. A convolution multiplies these
rows with its weights; a transposed convolution makes rows from its input and adds them up where windows overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear, pad

FEW = 8  # windows along a side, up to which a product can be faster on the CPU
MANY = 2**21  # weights of a layer, from which it is


@dataclass(frozen=True)
class Windows:
    """The windows of square maps: `count` along a side, `stride` apart, on maps with a border of `padding` zeros."""

    side: int  # of a map, in pixels
    count: int
    kernel: int
    stride: int
    padding: int

    def rows(self, maps: torch.Tensor) -> torch.Tensor:
        """The windows of maps (B, side, side, C): (B * count * count, kernel * kernel * C)."""
        padded = _moved(maps, self.padding, (self.count - 1) * self.stride + self.kernel)
        windows = padded.unfold(1, self.kernel, self.stride).unfold(2, self.kernel, self.stride)
        return windows.permute(0, 1, 2, 4, 5, 3).reshape(len(maps) * self.count**2, self.kernel**2 * maps.shape[-1])

    def sum(self, rows: torch.Tensor) -> torch.Tensor:
        """The sum of these windows where they belong, maps (B, side, side, C): the adjoint of `rows`."""
        shape = (len(rows) // self.count**2, self.count, self.count, self.kernel, self.kernel)
        windows = rows.view(*shape, rows.shape[1] // self.kernel**2)
        if self.count == 1:
            return _moved(windows[:, 0, 0], -self.padding, self.side)
        span = (self.count - 1) * self.stride + 1
        maps = rows.new_zeros(len(windows), span + self.kernel - 1, span + self.kernel - 1, windows.shape[-1])
        for y, x in product(range(self.kernel), repeat=2):
            maps[:, y : y + span : self.stride, x : x + span : self.stride] += windows[:, :, :, y, x]
        return _moved(maps, -self.padding, self.side)


def _moved(maps: torch.Tensor, by: int, side: int) -> torch.Tensor:
    """Maps (B, H, H, C) moved down and right, then cut or filled with zeros to (B, side, side, C)."""
    end = side - by - maps.shape[1]
    return pad(maps, (0, 0, by, end, by, end)) if by or end else maps


class _Rows(torch.autograd.Function):
    """`Windows.rows`; its gradient is `Windows.sum`, which for torch's own `unfold` takes several times as long."""

    generate_vmap_rule = True  # for stacks of networks

    @staticmethod
    def forward(maps: torch.Tensor, windows: Windows) -> torch.Tensor:
        return windows.rows(maps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, Windows], _output: torch.Tensor) -> None:
        ctx.windows = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Sum.apply(gradient, ctx.windows), None


class _Sum(torch.autograd.Function):
    """`Windows.sum`, whose gradient is `Windows.rows`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: torch.Tensor, windows: Windows) -> torch.Tensor:
        return windows.sum(rows)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, Windows], _output: torch.Tensor) -> None:
        ctx.windows = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Rows.apply(gradient, ctx.windows), None


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with a square kernel."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, bias=bias)
        self.shape = (kernel, stride, padding)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        kernel, stride, padding = self.shape
        side = maps.shape[2]
        count = (side + 2 * padding - kernel) // stride + 1
        if not _faster(self.weight, maps, count):
            return super().forward(maps)
        rows: torch.Tensor = _Rows.apply(maps.permute(0, 2, 3, 1), Windows(side, count, *self.shape))
        return (
            linear(rows, _flat(self.weight), self.bias)
            .view(len(maps), count, count, self.out_channels)
            .permute(0, 3, 1, 2)
        )


class ConvTranspose2d(nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` with a square kernel."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, output_padding, bias=bias)
        self.shape = (kernel, stride, padding)
        self.longer = kernel - stride - 2 * padding + output_padding  # of the output than `stride` times the input

    def forward(self, maps: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        count = maps.shape[2]
        if output_size is not None or not _faster(self.weight, maps, count):
            return super().forward(maps, output_size)
        windows = Windows(count * self.shape[1] + self.longer, count, *self.shape)
        rows = maps.permute(0, 2, 3, 1).reshape(len(maps) * count**2, self.in_channels) @ _flat(self.weight)
        made: torch.Tensor = _Sum.apply(rows, windows)
        return (made if self.bias is None else made + self.bias).permute(0, 3, 1, 2)


def _flat(weight: torch.Tensor) -> torch.Tensor:
    """Weights (A, B, k, k) as (A, k * k * B): the same memory if they are channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _faster(weight: torch.Tensor, maps: torch.Tensor, count: int) -> bool:
    """Whether the product is faster: for a single window always, else for large layers on the CPU in float32.

    Milliseconds forward and backward for 64 images, kernel 5 and stride 2 on one AVX2 core:
    256 to 512 channels, 4x4 windows: 136 + 370, product 82 + 166; transposed, 1024 to 512: 583 + 1886, product 402 +
    796; transposed, 512 to 256, 8x8 windows: 399 + 1039, product 425 + 746. Smaller layers gain nothing.
    In bfloat16, sums of overlapping windows would lose digits.
    """
    if maps.shape[2] != maps.shape[3]:
        return False
    device = maps.device.type
    large = weight.numel() >= MANY and count <= FEW
    return count == 1 or (large and device == "cpu" and not torch.is_autocast_enabled(device))
