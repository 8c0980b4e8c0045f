"""What must be the same in the output folders of one experiment, however it was run."""

from __future__ import annotations

import csv
from pathlib import Path

from lesionbench.experiment.tables import CELL_COLUMNS

COSTS = {name for name in CELL_COLUMNS if name.endswith(("_seconds", "_peak_mb", "_from_store", "_machine"))}


def results(out: Path) -> dict[str, bytes]:
    """Every prediction and every table but cells.csv, by the name of its file."""
    files = [path.relative_to(out) for path in out.rglob("*.csv") if path.name not in ("cells.csv", "jobs.csv")]
    return {path.as_posix(): (out / path).read_bytes() for path in sorted(files) if path.parts[0] != "store"}


def cells_without_costs(out: Path) -> list[dict[str, str]]:
    """The rows of cells.csv, but for what the fits cost and which machine made them."""
    with (out / "cells.csv").open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name not in COSTS} for row in csv.DictReader(file)]
