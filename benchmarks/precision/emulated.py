"""Products of bf16 numbers as processors with AMX compute them, on any processor.

AMX multiplies bfloat16 numbers exactly, adds the products up in float32, and torch rounds the sum to bfloat16. On other
processors, torch takes a path that is ten times slower and rounds more often in transposed convolutions. Here the same
numbers are multiplied by torch's float32 kernels, and the result is rounded once: only the order of the sums differs,
and AMX takes numbers below 1e-38 for zero. Everything else, such as batch norm and ReLU, is computed as torch does it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten
SUMS_OF_PRODUCTS = {
    ATEN.convolution.default,
    ATEN.convolution_backward.default,
    ATEN.mm.default,
    ATEN.addmm.default,
    ATEN.bmm.default,
    ATEN.baddbmm.default,
    ATEN.mv.default,
    ATEN.addmv.default,
    ATEN.dot.default,
    ATEN.linear.default,
}


class EmulatedBf16(TorchDispatchMode):
    """Inside the block, sums of products of bfloat16 tensors are computed in float32 and rounded once."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in SUMS_OF_PRODUCTS or not any(map(_is_bf16, args)):
            return func(*args, **kwargs or {})
        found = func(*map(_widened, args), **kwargs or {})
        return tuple(map(_rounded, found)) if isinstance(found, tuple) else _rounded(found)


def _is_bf16(given: object) -> bool:
    return isinstance(given, torch.Tensor) and given.dtype == torch.bfloat16


def _widened(given: Any) -> Any:
    return given.float() if _is_bf16(given) else given


def _rounded(found: Any) -> Any:
    return found.bfloat16() if isinstance(found, torch.Tensor) else found
