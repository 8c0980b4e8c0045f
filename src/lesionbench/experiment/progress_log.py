"""The progress of a fit: its reports as lines of a file, and what it cost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.experiment.machine import machine
from lesionbench.workers.memory import peak_megabytes, restart_peak

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.context import Device

PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class Record:
    """What one fit cost, all of its parts together if it was killed and went on from a checkpoint."""

    steps: int
    seconds: float
    peak_mb: float
    machine: str = ""  # which made it, or several after one another; empty where an earlier version did not note it


NOTHING = Record(0, 0.0, 0.0)


class Progress:
    """Writes each report of a fit as a line of `progress.jsonl` in `folder`, and measures what the fit costs."""

    def __init__(self, folder: Path, device: Device) -> None:
        self.folder = folder
        self.device = device
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
        machines = dict.fromkeys(filter(None, [*self._before.machine.split("; "), machine(self.device)]))
        return Record(self.steps, round(self.seconds, 3), peak, "; ".join(machines))

    def resume(self, before: Record, step: int) -> None:
        """Go on after `step` steps, for which the fit had cost `before`; the next line says so."""
        self._before = before
        self._start = time.monotonic()
        self.steps = before.steps
        self._note = {"resumed_at_step": step}
