"""What a run's folder holds: the experiment, and the predictions of every finished cell."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lesionbench.errors import OutputError
from lesionbench.experiment.chain import CONTROLS
from lesionbench.experiment.grid import Cell, arms, cells
from lesionbench.experiment.output import predictions_path, read_settings
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.leaderboard import ArmResult, Repeat
from lesionbench.pipeline.predictions import PARTS, Predictions, read_predictions
from lesionbench.store.digests import file_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lesionbench.experiment.grid import GridArm
    from lesionbench.experiment.settings import Experiment


@dataclass(frozen=True)
class Results:
    """An experiment's cells, the predictions of the finished ones by name and part, and the names of the failed."""

    experiment: Experiment
    resolved: Mapping[str, Any]
    grid: list[Cell]
    found: dict[str, dict[str, Predictions]]
    failed: set[str]

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.resolved["folds"])

    @property
    def controls(self) -> Sequence[str]:
        """The augmenters that are controls, as the run noted them; older runs had only those of the core."""
        noted: Sequence[str] = self.resolved.get("controls", CONTROLS)
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


def read_results(out: Path) -> Results:
    """The results of the experiment in `out` so far; raises OutputError if a file of predictions was changed."""
    experiment, resolved = read_settings(out)
    noted = noted_cells(out)
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


def noted_cells(out: Path) -> dict[str, dict[str, str]]:
    """The rows of cells.csv by the names of their cells; raises OutputError when it cannot be read."""
    try:
        text = (out / "cells.csv").read_text(encoding="utf-8")
        return {row["cell"]: row for row in csv.DictReader(io.StringIO(text))}
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise OutputError(
            f"{out / 'cells.csv'} cannot be read ({error}); run the experiment again to restore it"
        ) from None
