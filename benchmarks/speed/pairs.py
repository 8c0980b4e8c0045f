"""Measuring two sides in turn in one run: ours, and what a researcher would write instead.

A person waits for wall time. Other programs on the machine change processor time much less: it is measured as well.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from dataclasses import dataclass, field
from statistics import median
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What some work cost: wall seconds, processor seconds of all processes, and the amount of work (images, or 1)."""

    wall: float
    processor: float
    work: float = 1.0
    notes: dict[str, float] = field(default_factory=dict)  # further numbers, such as the share of the matrix rate


@dataclass(frozen=True)
class Options:
    """How to measure: pairs of measurements, the precision of ours, and whether a few steps are enough, to try out."""

    pairs: int = 5
    precision: str = "fp32"
    quick: bool = False


@dataclass(frozen=True)
class Sides:
    """Two functions that do the same work and return what it cost; `reference` is None where nothing compares."""

    ours: Callable[[], Cost]
    reference: Callable[[], Cost] | None


@dataclass(frozen=True)
class Row:
    """A line of the table.

    name: what to type to measure it alone.  unit: `images/s`, or `s` for seconds.
    reference: in a sentence, what the reference does.  sides: prepares the two functions, and cleans up.
    limit: the reference does less; it only shows what no command can be faster than.
    """

    name: str
    title: str
    unit: str
    reference: str
    sides: Callable[[Options], AbstractContextManager[Sides]]
    limit: bool = False


def measured(row: Row, options: Options) -> dict[str, Any]:
    """The row as it stands in results.json: every measurement, their medians, and the median of the pairs' ratios."""
    ours, reference = [], []
    with row.sides(options) as sides:
        for number in range(options.pairs):
            turns = [(ours, sides.ours), (reference, sides.reference)]
            for costs, measure in turns if number % 2 else reversed(turns):
                if measure is not None:
                    costs.append(measure())
    found: dict[str, Any] = {"title": row.title, "unit": row.unit, "says": row.reference}
    found["ours"], found["reference"] = _numbers(ours), _numbers(reference)
    if reference and not row.limit:
        found["ratio"] = {kind: _ratio(ours, reference, kind) for kind in ("wall", "processor")}
    return found


def _numbers(costs: Sequence[Cost]) -> dict[str, Any] | None:
    """The median seconds for one unit of work, every measurement, and the medians of the notes."""
    if not costs:
        return None
    notes = {name: median(cost.notes[name] for cost in costs) for name in costs[0].notes}
    return {
        "wall": median(cost.wall / cost.work for cost in costs),
        "processor": median(cost.processor / cost.work for cost in costs),
        "work": costs[0].work,
        "all": [[round(cost.wall, 4), round(cost.processor, 4)] for cost in costs],
        **notes,
    }


def _ratio(ours: Sequence[Cost], reference: Sequence[Cost], kind: str) -> float:
    """How many times as long the reference takes for the same work: the median over the pairs."""
    pairs = zip(ours, reference, strict=True)
    return median(getattr(theirs, kind) / theirs.work / (getattr(one, kind) / one.work) for one, theirs in pairs)


def cost_of(work: Callable[[], object], amount: float = 1.0) -> Cost:
    """What a function costs in this process and in the processes that it starts and waits for."""
    wall, processor = time.perf_counter(), _processor_seconds()
    work()
    return Cost(time.perf_counter() - wall, _processor_seconds() - processor, amount)


def cost_of_command(command: Sequence[str | os.PathLike[str]], folder: Path) -> Cost:
    """What a command costs from its start to its end, with the peak memory of its largest process.

    Raises RuntimeError with what the command printed if it fails.
    """
    with TemporaryFile() as printed:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            raise RuntimeError(f"{command} failed: {printed.read().decode(errors='replace')}")
    return Cost(wall, used.ru_utime + used.ru_stime, notes={"megabytes": used.ru_maxrss / 1024})


def _processor_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
