"""The progress of a fit: its reports as lines of a file, and what it cost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lesionbench.experiment.machine import machine
from lesionbench.workers.memory import gpu_peak_megabytes, peak_megabytes, restart_peak

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    gpu_peak_mb: float | None = None  # None without a GPU

    def plus(self, other: Record) -> Record:
        """What this and something else cost together."""
        machines = dict.fromkeys(filter(None, [*self.machine.split("; "), *other.machine.split("; ")]))
        peak = max(self.peak_mb, other.peak_mb)
        on_gpu = max((one.gpu_peak_mb for one in (self, other) if one.gpu_peak_mb is not None), default=None)
        return Record(self.steps + other.steps, self.seconds + other.seconds, peak, "; ".join(machines), on_gpu)


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
        now = Record(0, 0.0, peak_megabytes(), machine(self.device), gpu_peak_megabytes())
        return replace(self._before.plus(now), steps=self.steps, seconds=round(self.seconds, 3))

    def resume(self, before: Record, step: int) -> None:
        """Go on after `step` steps, for which the fit had cost `before`; the next line says so."""
        self._before = before
        self._start = time.monotonic()
        self.steps = before.steps
        self._note = {"resumed_at_step": step}

    def join(self, parts: Sequence[tuple[Path, Record]]) -> None:
        """Begin with what the parts of the fit have cost, and with the reports in their folders, one after the other.

        Each line gets the number of its part as `label`.
        """
        cost, lines = NOTHING, []
        reports = [_lines(folder / PROGRESS) for folder, _ in parts]
        totals = [of_part[-1]["total"] if of_part else 0 for of_part in reports]
        for part, ((_, record), of_part) in enumerate(zip(parts, reports, strict=True)):
            for line in of_part:
                seconds = round(cost.seconds + line["seconds"], 2)
                step = sum(totals[:part]) + line["step"]
                lines.append({**line, "step": step, "total": sum(totals), "seconds": seconds, "label": float(part)})
            cost = cost.plus(record)
        self.path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        self._before = cost
        self._start = time.monotonic()
        self.steps = cost.steps


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
