"""The context of a fit, which logs its progress."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from lesionbench.pipeline.context import Device, Precision, RunContext

if TYPE_CHECKING:
    from pathlib import Path

PROGRESS = "progress.jsonl"


class Progress:
    """Writes each report of a fit as a line of `progress.jsonl` and counts the steps."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / PROGRESS
        self.steps = 0
        self._start = time.monotonic()

    def __call__(self, step: int, total: int, **scalars: float) -> None:
        self.steps = max(self.steps, step)
        line = {"step": step, "total": total, "seconds": round(time.monotonic() - self._start, 2), **scalars}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def make_context(seed: int, device: Device, precision: Precision, folder: Path) -> tuple[RunContext, Progress]:
    """The context of one fit, which writes into an existing, empty folder, and its progress."""
    progress = Progress(folder)
    return RunContext(seed, device, precision, folder, progress), progress
