"""Running a forward pass in the precision that the experiment asks for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lesionbench.pipeline.context import RunContext


def autocast(context: RunContext) -> AbstractContextManager[object]:
    """bfloat16 where torch thinks it safe when the experiment's precision is bf16, else plain float32."""
    if context.precision == "bf16":
        return torch.autocast(context.device, dtype=torch.bfloat16)
    return nullcontext()
