"""What a run's folder holds: the experiment, and the predictions of every cell that is done."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lesionbench.errors import OutputError
from lesionbench.experiment.grid import Cell, arms, cells
from lesionbench.experiment.output import predictions_path, read_settings
from lesionbench.experiment.store import file_digest
from lesionbench.pipeline.leaderboard import ArmResult, Repeat, Row
from lesionbench.pipeline.predictions import PARTS, Predictions, read_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lesionbench.experiment.settings import Experiment


@dataclass(frozen=True)
class Results:
    """An experiment's cells; by name, the predictions by part of those that are done, and those that failed."""

    experiment: Experiment
    resolved: Mapping[str, Any]
    grid: list[Cell]
    found: dict[str, dict[str, Predictions]]
    failed: set[str]

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.resolved["folds"])

    def arms(self) -> list[ArmResult]:
        """Every arm with its predictions, for the leaderboard."""
        of_arm: dict[Any, list[Cell]] = {arm: [] for arm in arms(self.experiment)}
        for cell in self.grid:
            of_arm[cell.arm].append(cell)
        results = []
        for arm, its_cells in of_arm.items():
            by_part: dict[str, dict[Repeat, list[Predictions]]] = {part: {} for part in PARTS}
            for cell in its_cells:
                for part, predictions in self.found.get(cell.name, {}).items():
                    by_part[part].setdefault((cell.seed, cell.classifier_seed), []).append(predictions)
            described: Row = {
                "dataset": self.experiment.dataset,
                "split": self.resolved["split"],
                "groups": self.resolved["groups"],
                "positive_class": self.resolved["positive_class"],
                "augmenter": arm.augmenter,
                "synthetic_per_class": arm.synthetic_per_class,
                "on_the_fly": arm.on_the_fly,
                "classifier": arm.classifier,
            }
            failed = sum(cell.name in self.failed for cell in its_cells)
            results.append(ArmResult(described, self.folds, by_part["test"], failed, by_part["validation"]))
        return results


def read_results(out: Path) -> Results:
    """What the experiment in `out` has come to; raises OutputError when a file of predictions was changed."""
    experiment, resolved = read_settings(out)
    noted = _noted_cells(out)
    results = Results(experiment, resolved, cells(experiment, int(resolved["folds"])), {}, set())
    for cell in results.grid:
        path = predictions_path(out, cell)
        row = noted.get(cell.name, {})
        if path.exists():
            if file_digest(path) != row.get("predictions_sha256"):
                raise OutputError(f"{path} was changed after it was written; run the experiment again to restore it")
            results.found[cell.name] = read_predictions(path)
        elif row.get("status") == "failed":
            results.failed.add(cell.name)
    return results


def _noted_cells(out: Path) -> dict[str, dict[str, str]]:
    try:
        text = (out / "cells.csv").read_text(encoding="utf-8")
        return {row["cell"]: row for row in csv.DictReader(io.StringIO(text))}
    except (OSError, KeyError) as error:
        raise OutputError(
            f"{out / 'cells.csv'} cannot be read ({error}); run the experiment again to restore it"
        ) from None
