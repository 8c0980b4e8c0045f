"""What a plugin is told about the fit it is asked for, and seeds derived by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]


def derive_seed(*names: str | int) -> int:
    """A seed in [0, 2**63) that depends on exactly these names and nothing else."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Report(Protocol):
    """Feeds the progress view and `progress.jsonl`; a plugin calls it instead of printing."""

    def __call__(self, step: int, total: int, **scalars: float) -> None:
        """Say that `step` of `total` optimizer steps are done, with any losses by name."""


@dataclass(frozen=True)
class RunContext:
    """One fit's surroundings: everything random in it comes from `seed`, everything it writes goes to `folder`."""

    seed: int
    device: Device
    precision: Precision
    folder: Path  # exists; pictures and notes written here are kept with the fit
    report: Report
