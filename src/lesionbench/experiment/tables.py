"""The tables of an output folder: splits.csv, cells.csv, leaderboard.csv, per_class.csv, confusion/, comparison.csv."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.papers.beside_published import BESIDE_PUBLISHED_COLUMNS, beside_published
from lesionbench.evidence.papers.published import published_text, read_published
from lesionbench.experiment.bench import read_record
from lesionbench.experiment.output import note_judging, refuse_unwritable
from lesionbench.experiment.results import read_results
from lesionbench.experiment.table_stamp import (
    STAMP,
    Stamp,
    cells_of,
    digest_of,
    is_as_written,
    made_from,
    read_stamp,
    write_stamp,
)
from lesionbench.experiment.tasks import try_to_draw
from lesionbench.pictures.dose_response import DosePlot, save_dose_plots
from lesionbench.pipeline.leaderboard import PER_CLASS_COLUMNS, Row, as_csv, per_class_rows
from lesionbench.pipeline.metrics import confusion_matrix, predicted_labels
from lesionbench.store.whole_files import write_derived, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lesionbench.evidence.evidence import Evidence
    from lesionbench.evidence.tables.comparisons import Judging
    from lesionbench.evidence.tables.dose_response import Curve
    from lesionbench.experiment.bench import Bench
    from lesionbench.experiment.grid import Cell, PoolJob
    from lesionbench.experiment.output import Made
    from lesionbench.experiment.results import Results
    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.predictions import Predictions
    from lesionbench.store.entry import Entry

PUBLISHED = "published.csv"
COMPARISON = "comparison.csv"
CONFUSION = "confusion"
PICTURE = "dose_response.png"
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
    "on_the_fly",
    "classifier_repeat",
    "augmenter_machine",
    "classifier_machine",
    "augmenter_gpu_peak_mb",
    "classifier_gpu_peak_mb",
)


def write_splits(out: Path, bench: Bench) -> None:
    """Write splits.csv: for every fold, the part that each image is in."""
    images = bench.data().images
    rows: list[Row] = []
    for fold, part in enumerate(bench.parts()):
        for index in range(len(images)):
            label = images.classes[images.labels[index]]
            values = (fold, part[index], images.ids[index], images.groups[index], label)
            rows.append(dict(zip(SPLIT_COLUMNS, values, strict=True)))
    write_whole(out / "splits.csv", as_csv(rows, SPLIT_COLUMNS))


@dataclass
class CellRows:
    """The rows of cells.csv."""

    made: Made
    since: float  # seconds since the epoch; a fit that is older counts as taken from the store
    _costs: dict[PoolJob, Row] = field(default_factory=dict)  # of fits in the store; many cells share one

    def row(self, cell: Cell, digest: str | None, error: str | None) -> Row:
        """One row; `digest` is of the predictions of a cell that is done."""
        row: Row = dict.fromkeys(CELL_COLUMNS)
        row |= {
            "cell": cell.name,
            "status": "done" if digest else "failed" if error else "waiting",
            "error": error,
            "augmenter": cell.arm.augmenter,
            "synthetic_per_class": cell.arm.synthetic_per_class,
            "classifier": cell.arm.classifier,
            "fold": cell.fold,
            "seed": cell.seed,
            "classifier_seed": self.made.seeds.classify(cell),
            "predictions_sha256": digest,
            "on_the_fly": cell.arm.on_the_fly,
            "classifier_repeat": cell.classifier_seed,
        }
        if cell.pools:
            row["augmenter_seed"] = self.made.seeds.augment(cell.pools[-1])
            row |= self._cost_of_fit(cell.pools[-1])
        return row | self._cost("classifier", self.made.classification(cell))

    def _cost_of_fit(self, job: PoolJob) -> Row:
        cost = self._costs.get(job) or self._cost("augmenter", self.made.fit(job))
        if cost:
            self._costs[job] = cost
        return cost

    def _cost(self, whose: str, entry: Entry | None) -> Row:
        """What a fit cost and whether it came from the store; empty if the store has no record of it."""
        record = read_record(entry)
        if entry is None or record is None:
            return {}
        cost_of = {f"{whose}_{name}": value for name, value in asdict(record).items()}
        return {**cost_of, f"{whose}_from_store": "yes" if entry.made < self.since else "no"}


def write_cells(out: Path, rows: list[Row]) -> None:
    """Write cells.csv."""
    write_whole(out / "cells.csv", as_csv(rows, CELL_COLUMNS))


@dataclass(frozen=True)
class Tables:
    """What a run shows in the end: the leaderboard's rows, and those of the comparison where values were published."""

    leaderboard: list[Row]
    verdicts: list[Row]
    doses: list[Row]  # of the augmenters that are no controls
    comparison: list[Row]
    cells: int
    failed: list[str]  # the names of the cells that failed
    waiting: int  # cells that have not been run, or not to their end


def write_tables(out: Path, judged: Experiment | None = None) -> Tables:
    """Make all tables from the predictions in `out`, write and return them; nothing is written before all is read.

    Tables that would be the same, and that nobody changed, are not made again.
    judged: the experiment with other settings to judge it by, which `out` keeps; by default those in `out`.
    """
    results = read_results(out, judged)
    key, stamp = made_from(results, out / PUBLISHED), read_stamp(out)
    if stamp is None or stamp.made_from != key or _stale(out, stamp.written) or not is_as_written(out, stamp):
        return _make_tables(out, results, judged, key, stamp)
    if judged is not None:
        note_judging(out, judged)
    return Tables(**stamp.shown)


def _make_tables(out: Path, results: Results, judged: Experiment | None, key: str, stamp: Stamp | None) -> Tables:
    """Make, write and return all tables; `key`: of what they are made from; `stamp`: of those that were there."""
    published = read_published(out / PUBLISHED) if os.path.lexists(out / PUBLISHED) else []
    from lesionbench.evidence.evidence import TABLE_COLUMNS, gather_evidence  # statsmodels and scipy are slow to import

    by_arm = results.arms()
    operating_point, precision = results.experiment.operating_point, results.resolved["precision"]
    evidence = gather_evidence(by_arm, judging(results), operating_point, precision)
    rows, of_classes = evidence.rows["leaderboard"], per_class_rows(by_arm)
    compared = beside_published(published, rows, of_classes)
    texts = {f"{name}.csv": as_csv(evidence.rows[name], columns) for name, columns in TABLE_COLUMNS.items()}
    texts["per_class.csv"] = as_csv(of_classes, PER_CLASS_COLUMNS)
    texts |= {COMPARISON: as_csv(compared, BESIDE_PUBLISHED_COLUMNS)} if compared else {}
    texts |= confusion_tables(results.found)
    stale = _stale(out, texts)
    refuse_unwritable(out, [*texts, *stale, STAMP])
    if read_stamp(out) != stamp:  # another process has written tables meanwhile: a run, perhaps of more cells
        return write_tables(out, judged)

    written = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    cells = cells_of(results.done, results.failed)
    write_stamp(out, Stamp("", cells, written, {}))  # should this be killed, tables of an earlier time do not fit it
    if judged is not None:
        note_judging(out, judged)
    for name in stale:
        (out / name).unlink(missing_ok=True)
    for name, text in texts.items():
        (out / name).parent.mkdir(exist_ok=True)
        write_derived(out / name, text)
    tables = _shown(results, evidence, compared)
    plots = [_plot(curve) for curve in evidence.curves]
    if try_to_draw(lambda: save_dose_plots(out / PICTURE, plots)):  # one that failed is tried again the next time
        written |= {PICTURE: digest_of(out / PICTURE)} if plots else {}
        write_stamp(out, Stamp(key, cells, written, asdict(tables)))
    return tables


def _shown(results: Results, evidence: Evidence, compared: list[Row]) -> Tables:
    choices = zip(evidence.rows["dose_choice"], evidence.curves, strict=True)
    doses = [row for row, curve in choices if not curve.is_control]
    cells, failed = len(results.grid), [cell.name for cell in results.grid if cell.name in results.failed]
    waiting = cells - len(failed) - len(results.done)
    return Tables(evidence.rows["leaderboard"], evidence.rows["comparisons"], doses, compared, cells, failed, waiting)


def _stale(out: Path, names: Iterable[str]) -> set[str]:
    """The tables of an earlier time in `out` that are not among these."""
    found = [f"{CONFUSION}/{path.name}" for path in (out / CONFUSION).glob("*.csv")]
    found += [name for name in (COMPARISON, PICTURE) if os.path.lexists(out / name)]
    return set(found) - set(names)


def _plot(curve: Curve) -> DosePlot:
    found = [curve.combined(weights) for weights in np.eye(len(curve.doses))]
    at = np.linspace(0, np.log1p(curve.doses[-1]), 60)
    between = np.expm1(at).tolist()
    fits = [curve.combined(weights) for weights in curve.smoother(between)]
    arm = curve.arm
    changed = f", {arm.on_the_fly} on the fly" if arm.changes_batches else ""
    return DosePlot(
        f"{arm.augmenter}{changed}, {arm.classifier}",
        curve.metric,
        curve.doses,
        [one.estimate for one in found],
        [one.interval() for one in found],
        between,
        [fit.estimate for fit in fits],
        [fit.interval() for fit in fits],
    )


def judging(results: Results) -> Judging:
    """How the arms of a run are judged."""
    from lesionbench.evidence.tables.comparisons import Judging

    experiment, images = results.experiment, results.resolved["images"]
    return Judging(experiment.baseline, experiment.judged_by, experiment.margin, images["train"], images["test"])


def keep_published(out: Path, source: Path | None) -> None:
    """Copy a file of published values into the run's folder, so that its comparison can be made again."""
    if source is not None and source.resolve() != (out / PUBLISHED).resolve():
        write_whole(out / PUBLISHED, published_text(source))


def confusion_tables(found: Mapping[str, Mapping[str, Predictions]]) -> dict[str, str]:
    """confusion/<cell>.csv for every finished cell: a row for each true class, a column for each prediction."""
    texts = {}
    for cell, parts in found.items():
        one = parts["test"]
        matrix = confusion_matrix(one.labels, predicted_labels(one.scores), len(one.classes)).tolist()
        columns = [f"predicted_{name}" for name in one.classes]
        rows: list[Row] = [
            {"true_class": name, **dict(zip(columns, counts, strict=True))}
            for name, counts in zip(one.classes, matrix, strict=True)
        ]
        texts[f"{CONFUSION}/{cell}.csv"] = as_csv(rows, ("true_class", *columns))
    return texts
