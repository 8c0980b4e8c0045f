"""The tables of an output folder: splits.csv, cells.csv, leaderboard.csv and per_class.csv."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from lesionbench.errors import OutputError
from lesionbench.experiment import keys
from lesionbench.experiment.cell import read_record
from lesionbench.experiment.grid import Cell, arms, cells
from lesionbench.experiment.output import predictions_path, read_settings
from lesionbench.experiment.store import Store, file_digest, write_whole
from lesionbench.pipeline.leaderboard import (
    COLUMNS,
    PER_CLASS_COLUMNS,
    ArmResult,
    Row,
    as_csv,
    leaderboard,
    per_class_rows,
)
from lesionbench.pipeline.predictions import Predictions, read_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.settings import Experiment
    from lesionbench.plugins import Plugins

ON_THE_FLY = "none"
SPLIT_COLUMNS = ("fold", "part", "id", "group", "label")
CELL_COLUMNS = (
    "cell",
    "status",
    "error",
    "augmenter",
    "synthetic_per_class",
    "classifier",
    "fold",
    "seed",
    "augmenter_seed",
    "augmenter_steps",
    "augmenter_seconds",
    "augmenter_peak_mb",
    "augmenter_from_store",
    "classifier_seed",
    "classifier_steps",
    "classifier_seconds",
    "classifier_peak_mb",
    "classifier_from_store",
    "predictions_sha256",
)


def write_splits(out: Path, prepared: Prepared) -> None:
    """Write splits.csv: for every fold, the part that each image is in."""
    images = prepared.load_data().images
    rows: list[Row] = []
    for fold, part in enumerate(prepared.load_parts()):
        for index in range(len(images)):
            label = images.classes[images.labels[index]]
            values = (fold, part[index], images.ids[index], images.groups[index], label)
            rows.append(dict(zip(SPLIT_COLUMNS, values, strict=True)))
    write_whole(out / "splits.csv", as_csv(rows, SPLIT_COLUMNS))


def cell_row(out: Path, cell: Cell, prepared: Prepared, plugins: Plugins, since: float, error: str | None) -> Row:
    """One row of cells.csv; what was made before `since`, in seconds since the epoch, came from the store."""
    store = Store(prepared.store)
    path = predictions_path(out, cell)
    classification = store.path("predictions", keys.predictions_key(prepared, cell, plugins))
    classified = read_record(classification)
    row: Row = dict.fromkeys(CELL_COLUMNS)
    row |= {
        "cell": cell.name,
        "status": "done" if path.exists() else "failed" if error else "waiting",
        "error": error,
        "augmenter": cell.arm.augmenter,
        "synthetic_per_class": cell.arm.synthetic_per_class,
        "classifier": cell.arm.classifier,
        "fold": cell.fold,
        "seed": cell.seed,
        "classifier_seed": keys.classify_seed(prepared, cell),
        "predictions_sha256": file_digest(path) if path.exists() else None,
    }
    if cell.pool is not None:
        row["augmenter_seed"] = keys.augment_seed(prepared, cell.pool)
        fit = store.path("fits", keys.fit_key(prepared, cell.pool, plugins))
        fitted = read_record(fit)
        if fitted is not None:
            row |= {
                "augmenter_steps": fitted.steps,
                "augmenter_seconds": fitted.seconds,
                "augmenter_peak_mb": fitted.peak_mb,
            }
            row["augmenter_from_store"] = _from_store(fit, since)
    if classified is not None:
        row |= {"classifier_steps": classified.steps, "classifier_seconds": classified.seconds}
        row |= {"classifier_peak_mb": classified.peak_mb}
        row["classifier_from_store"] = _from_store(classification, since)
    return row


def _from_store(entry: Path, since: float) -> str:
    return "yes" if entry.stat().st_mtime < since else "no"


def write_cells(out: Path, rows: list[Row]) -> None:
    """Write cells.csv."""
    write_whole(out / "cells.csv", as_csv(rows, CELL_COLUMNS))


def write_tables(out: Path) -> list[Row]:
    """Make leaderboard.csv and per_class.csv from the predictions in `out`; returns the leaderboard's rows."""
    results = collect(out)
    rows = leaderboard(results)
    write_whole(out / "leaderboard.csv", as_csv(rows, COLUMNS))
    write_whole(out / "per_class.csv", as_csv(per_class_rows(results), PER_CLASS_COLUMNS))
    return rows


def collect(out: Path) -> list[ArmResult]:
    """Every arm of the experiment in `out` with its test predictions; raises OutputError when a file was changed."""
    experiment, resolved = read_settings(out)
    noted = _noted_cells(out)
    folds = int(resolved["folds"])
    found: dict[str, Predictions] = {}
    failed: dict[str, bool] = {}
    grid = cells(experiment, folds)
    for cell in grid:
        path = predictions_path(out, cell)
        if path.exists():
            if file_digest(path) != noted.get(cell.name, {}).get("predictions_sha256"):
                raise OutputError(f"{path} was changed after it was written; run the experiment again to restore it")
            found[cell.name] = read_predictions(path, "test")
        failed[cell.name] = not path.exists() and noted.get(cell.name, {}).get("status") == "failed"
    results = []
    for arm in arms(experiment):
        by_seed: dict[int, list[Predictions]] = {}
        of_arm = [cell for cell in grid if cell.arm == arm]
        for cell in of_arm:
            if cell.name in found:
                by_seed.setdefault(cell.seed, []).append(found[cell.name])
        described = _described(experiment, resolved) | {
            "augmenter": arm.augmenter,
            "synthetic_per_class": arm.synthetic_per_class,
            "on_the_fly": ON_THE_FLY,
            "classifier": arm.classifier,
        }
        results.append(ArmResult(described, folds, by_seed, sum(failed[cell.name] for cell in of_arm)))
    return results


def _described(experiment: Experiment, resolved: Mapping[str, Any]) -> Row:
    return {
        "dataset": experiment.dataset,
        "split": resolved["split"],
        "groups": resolved["groups"],
        "positive_class": resolved["positive_class"],
    }


def _noted_cells(out: Path) -> dict[str, dict[str, str]]:
    try:
        text = (out / "cells.csv").read_text(encoding="utf-8")
        return {row["cell"]: row for row in csv.DictReader(io.StringIO(text))}
    except (OSError, KeyError) as error:
        raise OutputError(
            f"{out / 'cells.csv'} cannot be read ({error}); run the experiment again to restore it"
        ) from None
