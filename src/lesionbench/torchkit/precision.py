"""Running a forward pass in the experiment's precision."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lesionbench.pipeline.context import RunContext


def autocast(context: RunContext) -> AbstractContextManager[object]:
    """A context manager for the forward pass: torch's autocast to bfloat16 for precision bf16, else plain float32."""
    if context.precision == "bf16":
        return torch.autocast(context.device, dtype=torch.bfloat16)
    return nullcontext()
