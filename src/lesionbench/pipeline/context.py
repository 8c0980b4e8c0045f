"""What a plugin is told about the fit it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]


class Report(Protocol):
    """Feeds the progress view and `progress.jsonl`; a plugin calls it instead of printing."""

    def __call__(self, step: int, total: int, **scalars: float) -> None:
        """Say that `step` of `total` optimiser steps are done, with any losses by name."""


@dataclass(frozen=True)
class RunContext:
    """One fit's surroundings: everything random in it comes from `seed`, everything it writes goes to `folder`."""

    seed: int
    device: Device
    precision: Precision
    folder: Path  # exists; pictures and notes written here are kept with the fit
    report: Report
