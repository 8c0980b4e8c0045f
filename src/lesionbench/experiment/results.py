"""What a run's folder holds: the experiment, and the predictions of every finished cell."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lesionbench.errors import OutputError
from lesionbench.experiment.grid import Cell, arms, cells
from lesionbench.experiment.output import SETTINGS, predictions_path, read_edited, read_settings
from lesionbench.given_files import open_text, read_regular, reason
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.leaderboard import ArmResult, Repeat
from lesionbench.pipeline.predictions import PARTS, Predictions, read_predictions
from lesionbench.plain_text import from_spreadsheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lesionbench.experiment.grid import GridArm
    from lesionbench.experiment.settings import Experiment


STATUS = ("done", "failed", "waiting")
AGAIN = "run the experiment again to restore it"


@dataclass(frozen=True)
class Results:
    """An experiment's cells, the predictions of the finished ones by name and part, and the names of the failed."""

    out: Path
    experiment: Experiment
    resolved: Mapping[str, Any]
    grid: list[Cell]
    done: dict[str, str]  # the SHA-256 of the predictions of every finished cell, by name; the files have it
    failed: set[str]

    @cached_property
    def found(self) -> dict[str, dict[str, Predictions]]:
        """The predictions of the finished cells by name and part; raises OutputError if a file was changed by now."""
        classes = self.resolved["classes"]
        done = [cell for cell in self.grid if cell.name in self.done]
        return {cell.name: _predictions(self.out, cell, self.done[cell.name], classes) for cell in done}

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.resolved["folds"])

    @property
    def controls(self) -> Sequence[str]:
        """The augmenters that are controls, as the run noted them."""
        noted: Sequence[str] = self.resolved["controls"]
        return noted

    def arms(self) -> list[ArmResult]:
        """Every arm with its predictions, for the leaderboard."""
        of_arm: dict[GridArm, list[Cell]] = {arm: [] for arm in arms(self.experiment)}
        for cell in self.grid:
            of_arm[cell.arm].append(cell)
        results = []
        for arm, its_cells in of_arm.items():
            by_part: dict[str, dict[Repeat, list[Predictions]]] = {part: {} for part in PARTS}
            for cell in its_cells:
                for part, predictions in self.found.get(cell.name, {}).items():
                    by_part[part].setdefault((cell.seed, cell.classifier_seed), []).append(predictions)
            failed = sum(cell.name in self.failed for cell in its_cells)
            key, role = self._key(arm), arm.role(self.controls)
            results.append(ArmResult(key, role, self.folds, by_part["test"], failed, by_part["validation"]))
        return results

    def _key(self, arm: GridArm) -> ArmKey:
        return ArmKey(
            **{name: getattr(arm, name) for name in ("augmenter", "synthetic_per_class", "on_the_fly", "classifier")},
            dataset=self.experiment.dataset,
            **{name: self.resolved[name] for name in ("split", "groups", "positive_class")},
        )


def read_results(out: Path, judged: Experiment | None = None) -> Results:
    """The results of the experiment in `out` so far; raises OutputError if a file in it was changed.

    judged: the experiment with other settings to judge it by than those in `out`.
    """
    experiment, resolved = read_edited(out) if judged else read_settings(out)
    noted = noted_cells(out)
    grid = cells(experiment, int(resolved["folds"]))
    results = Results(out, judged or experiment, resolved, grid, *ended(noted))
    if noted.keys() != {cell.name for cell in results.grid}:
        raise OutputError(f"{out / 'cells.csv'} must have a row for each of the {len(results.grid)} cells; {AGAIN}")
    for cell in results.grid:
        if cell.name in results.done:
            _verified(predictions_path(out, cell), results.done[cell.name])
    return results


def _predictions(out: Path, cell: Cell, digest: str, classes: Sequence[str]) -> dict[str, Predictions]:
    """A cell's predictions by part; raises OutputError unless they are those that the run wrote."""
    path = predictions_path(out, cell)
    found = read_predictions(path, _verified(path, digest))
    if any(one.fold != cell.fold or list(one.classes) != list(classes) for one in found.values()):
        raise OutputError(f"{path} holds another fold or other classes than {SETTINGS}; {AGAIN}")
    return found


def _verified(path: Path, digest: str) -> bytes:
    """The content of a file of predictions; raises OutputError unless it is what the run wrote."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({reason(error)}); {AGAIN}") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise OutputError(f"{path} was changed after it was written; {AGAIN}")
    return content


def noted_cells(out: Path) -> dict[str, dict[str, str]]:
    """The rows of cells.csv by the names of their cells; raises OutputError unless it is what a run writes."""
    path = out / "cells.csv"
    try:
        rows = table_rows(path)
        noted = {row["cell"]: row for row in rows}
        wrong = [row["status"] for row in rows if row["status"] not in STATUS]
        if wrong:
            raise ValueError(f"a status is one of {', '.join(STATUS)}, not {wrong[0]!r:.80}")
        if len(noted) < len(rows):
            raise ValueError("a cell has one row, and one of them has two")
        return noted
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        what = f"has no column {error}" if isinstance(error, KeyError) else f"cannot be read ({reason(error)})"
        raise OutputError(f"{path} {what}; {AGAIN}") from None


def ended(noted: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, str], set[str]]:
    """The SHA-256 of the predictions of the cells that are done, and the names of the failed; from `noted_cells`."""
    done = {name: row.get("predictions_sha256") or "" for name, row in noted.items() if row["status"] == "done"}
    return done, {name for name, row in noted.items() if row["status"] == "failed"}


def table_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table that a run wrote, each field as it was before it was written.

    Raises OSError, ValueError, TypeError or csv.Error if it cannot be read.
    """
    with open_text(path) as file:
        rows = list(csv.DictReader(file))
    return [{name: from_spreadsheet(field or "") for name, field in row.items()} for row in rows]
