"""The progress of a fit: its reports as lines of a file, and what it cost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.workers.memory import peak_megabytes, restart_peak

if TYPE_CHECKING:
    from pathlib import Path

PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class Record:
    """What one fit cost, all of its parts together if it was killed and went on from a checkpoint."""

    steps: int
    seconds: float
    peak_mb: float


NOTHING = Record(0, 0.0, 0.0)


class Progress:
    """Writes each report of a fit as a line of `progress.jsonl` in `folder`, and measures what the fit costs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / PROGRESS
        self.steps = 0
        self._before = NOTHING  # what the fit had cost when it was saved
        self._note: dict[str, int] = {}  # for the next line
        restart_peak()
        self._start = time.monotonic()

    def __call__(self, step: int, total: int, **scalars: float) -> None:
        self.steps = max(self.steps, step)
        line = {"step": step, "total": total, "seconds": round(self.seconds, 2), **self._note, **scalars}
        self._note = {}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @property
    def seconds(self) -> float:
        """How long the fit has taken."""
        return self._before.seconds + time.monotonic() - self._start

    def record(self) -> Record:
        """What the fit has cost by now."""
        peak = max(self._before.peak_mb, peak_megabytes())
        return Record(self.steps, round(self.seconds, 3), peak)

    def resume(self, before: Record, step: int) -> None:
        """Go on after `step` steps, for which the fit had cost `before`; the next line says so."""
        self._before = before
        self._start = time.monotonic()
        self.steps = before.steps
        self._note = {"resumed_at_step": step}
