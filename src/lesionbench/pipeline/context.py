"""The context that a plugin's fit runs in, and seeds derived by name."""

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
    """A seed in [0, 2**63) that depends on these names and on nothing else."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Report(Protocol):
    """Passes progress to the progress view and to `progress.jsonl`; plugins call it instead of printing."""

    def __call__(self, step: int, total: int, **scalars: float) -> None:
        """Report that `step` of `total` optimizer steps are done; `scalars` are losses and the like, by name."""


@dataclass(frozen=True)
class RunContext:
    """What one fit gets: all its randomness derives from `seed`, and all its files go to `folder`."""

    seed: int
    device: Device
    precision: Precision
    folder: Path  # exists already; pictures and notes written here are kept with the fit
    report: Report
