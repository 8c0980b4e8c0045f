"""The leaderboard on the screen: rates as percent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from lesionbench.evidence.comparison import comparison_table

if TYPE_CHECKING:
    from lesionbench.pipeline.leaderboard import Row

HEADINGS = {
    "augmenter": "augmenter",
    "synthetic_per_class": "dose",
    "on_the_fly": "on the fly",
    "classifier": "classifier",
    "sensitivity": "sens",
    "specificity": "spec",
    "balanced_accuracy": "bal acc",
    "accuracy": "acc",
    "auc": "AUC",
    "f1": "F1",
    "seeds": "seeds",
    "failed_cells": "failed",
}

TEXTS = ("augmenter", "on_the_fly", "classifier")


def print_leaderboard(rows: list[Row]) -> None:
    """Print the leaderboard: rates in percent, the mean over seeds; what is the same in every row stands above it."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    for line in _heading(rows):
        console.print(line, markup=False)
    columns = [name for name in HEADINGS if not _left_out(name, rows)]
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        text = name in TEXTS
        table.add_column(HEADINGS[name], justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in columns))
    console.print(table, markup=False)


def print_comparison(rows: list[Row]) -> None:
    """Print published values beside measured ones; nothing when there are none."""
    if not rows:
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    headings, *lines = comparison_table(rows)
    table = Table(box=box.SIMPLE_HEAD, title="published and measured", title_justify="left", title_style="")
    for heading in headings:
        number = heading in ("published", "measured", "points")
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    console.print(table, markup=False)


def _heading(rows: list[Row]) -> list[str]:
    first = rows[0]
    positive = first["positive_class"]
    what = "each class against the rest, weighted by its size" if positive == "each" else f"positive class {positive}"
    lines = [f"{first['dataset']}, split {first['split']}, groups {first['groups']}, {_tested(rows)}"]
    lines.append(f"{what}; percent, mean over seeds; dose: synthetic images per class")
    if _left_out("classifier", rows):
        lines.append(f"classifier {first['classifier']}")
    return lines


def _tested(rows: list[Row]) -> str:
    counts = sorted({str(row["n_test"]) for row in rows if row["n_test"]})
    return f"{' or '.join(counts) or 'no'} test images"


def _left_out(name: str, rows: list[Row]) -> bool:
    if name == "on_the_fly":
        return {row[name] for row in rows} == {"none"}
    if name == "classifier":
        return len({row[name] for row in rows}) == 1
    return name == "failed_cells" and not any(row[name] for row in rows)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if isinstance(value, float) else str(value)
