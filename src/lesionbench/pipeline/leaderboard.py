"""The leaderboard: one row for each arm, a pure function of the predictions."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from lesionbench.pipeline.arm import ARM_COLUMNS, ArmKey, Role
from lesionbench.pipeline.metrics import METRICS, Metrics, measure, per_class
from lesionbench.pipeline.predictions import Predictions, pooled
from lesionbench.plain_text import for_spreadsheet, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = (*ARM_COLUMNS, "seeds", "n_test", *METRICS, "failed_cells")
PER_CLASS_COLUMNS = (*ARM_COLUMNS, "class", "seeds", "n_test", "sensitivity", "specificity", "auc", "f1")

Row = dict[str, object]
Repeat = tuple[int, int]  # the seed of everything random, and which of the classifier's seeds


@dataclass(frozen=True)
class ArmResult:
    """One arm: its predictions in every repeat (a list over folds), and how many of its cells failed."""

    arm: ArmKey
    role: Role
    folds: int
    test: dict[Repeat, list[Predictions]]
    failed_cells: int
    validation: dict[Repeat, list[Predictions]] = field(default_factory=dict)

    def complete(self, part: str = "test") -> dict[Repeat, list[Predictions]]:
        """The predictions of one part in every complete repeat, one with all its folds, in order."""
        found = self.test if part == "test" else self.validation
        return {repeat: folds for repeat, folds in sorted(found.items()) if len(folds) == self.folds}

    def pooled(self) -> list[Predictions]:
        """The test predictions of every complete repeat, pooled out of fold."""
        return [pooled(folds) for folds in self.complete().values()]


def leaderboard(results: Iterable[ArmResult]) -> list[Row]:
    """One row for each arm: each repeat is measured on its pooled folds, then the mean over repeats is taken."""
    return [_row(result) for result in results]


def _row(result: ArmResult) -> Row:
    seeds = result.pooled()
    measured = [measure(one.labels, one.scores, _positive(result, one)) for one in seeds]
    means = {name: _mean([getattr(metrics, name) for metrics in measured]) for name in METRICS}
    return {
        **result.arm.row(),
        "seeds": len(seeds),
        "n_test": len(seeds[0].ids) if seeds else 0,
        **asdict(Metrics(**means)),
        "failed_cells": result.failed_cells,
    }


def per_class_rows(results: Iterable[ArmResult]) -> list[Row]:
    """One row for each class of every arm: the class against the rest, the mean over repeats."""
    rows: list[Row] = []
    for result in results:
        seeds = result.pooled()
        if not seeds:
            continue
        measured = [per_class(one.labels, one.scores) for one in seeds]
        for label, name in enumerate(seeds[0].classes):
            of_class = [rates[label] for rates in measured]
            means = {
                key: _mean([getattr(rates, key) for rates in of_class])
                for key in ("sensitivity", "specificity", "auc", "f1")
            }
            rows.append({**result.arm.row(), "class": name, "seeds": len(seeds), "n_test": of_class[0].n, **means})
    return rows


def _positive(result: ArmResult, predictions: Predictions) -> int | None:
    return predictions.classes.index(result.arm.positive_class) if len(predictions.classes) == 2 else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows as CSV text: rates with 4 decimals, an empty field for an unknown value, text for spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[key]) for key in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        return for_spreadsheet(visible(value))
    return f"{value:.4f}" if isinstance(value, float) else value
