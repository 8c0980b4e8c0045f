"""The context that a plugin's fit runs in, and seeds derived by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

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
class SavedState:
    """The state of a fit after `step` optimizer steps, as its plugin saved it."""

    step: int
    arrays: Mapping[str, NDArray[Any]]
    values: Any  # whatever JSON can hold


class Checkpoint(Protocol):
    """Keeps the state of a long fit, so that a fit that was killed goes on from there; a plugin may leave it unused."""

    def load(self) -> SavedState | None:
        """The last state of this very fit (same settings, images, seed and code), or None: start anew."""

    def due(self) -> bool:
        """Whether it is time to save; asking costs nothing, so ask after every step."""

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], values: Any = None) -> None:
        """Keep the state after `step` steps if it is time; also the files that are in the context's folder by now.

        values: whatever JSON can hold.  Must contain everything that the rest of the fit depends on, random state too.
        """


class NoCheckpoint:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        """None: nothing was kept."""

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], values: Any = None) -> None:
        """Nothing."""


@dataclass(frozen=True)
class RunContext:
    """What one fit gets: all its randomness derives from `seed`, and all its files go to `folder`."""

    seed: int
    device: Device
    precision: Precision
    folder: Path  # exists already; pictures and notes written here are kept with the fit
    report: Report
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
