"""The tables on the screen: the leaderboard, the verdicts, the doses, and published values; rates as percent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from lesionbench.evidence.papers.beside_published import beside_published_table
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.augmenter import BASELINE

if TYPE_CHECKING:
    from lesionbench.experiment.tables import Tables
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
    "tie_group": "tie",
}

TEXTS = ("augmenter", "on_the_fly", "classifier")


def print_tables(tables: Tables) -> None:
    """Print everything that a run has to show."""
    print_leaderboard(tables.leaderboard)
    print_verdicts(tables.verdicts)
    print_doses(tables.doses)
    print_comparison(tables.comparison)


def print_verdicts(rows: list[Row]) -> None:
    """Print what every arm does to the metric it is judged by, beside the baseline; differences in points."""
    if not rows:
        return
    first = rows[0]
    title = f"against {first['baseline']}, judged by {first['judged_by']}: difference in points, 95% interval"
    several = len({row["classifier"] for row in rows}) > 1
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    for heading in ("arm", *(["classifier"] if several else []), "difference", "interval", "verdict", "why"):
        table.add_column(heading, justify="right" if heading in ("difference", "interval") else "left", overflow="fold")
    for row in rows:
        interval = "-" if row["low"] is None else f"{_points(row['low'])} to {_points(row['high'])}"
        judged = (_points(row["difference"]), interval, str(row["verdict"]), str(row["reason"]))
        table.add_row(ArmKey.of(row).name, *([str(row["classifier"])] if several else []), *judged)
    _console(160).print(table, markup=False)


def print_doses(rows: list[Row]) -> None:
    """Print how much is enough, for every row of dose_choice.csv that is given."""
    console = _console(160)
    for row in rows:
        enough = row["smallest_not_inferior_dose"]
        told = f"{row['augmenter']}: " + (
            f"dose {enough} is enough (not inferior to the best dose by {_points(row['margin'], sign=False)} points)"
            if enough is not None
            else f"how much is enough is not known: {row['reason']}"
        )
        if row["chosen_dose"] is not None:
            told += (
                f"; validation chooses {row['chosen_dose']}, {_shown(row['chosen_on_test'])} on test; "
                f"the best on test, {row['best_on_test_dose']}, looks {_points(row['optimism'])} points better"
            )
        console.print(told, markup=False)


def _points(value: object, sign: bool = True) -> str:
    """A difference of rates in percentage points."""
    if not isinstance(value, float):
        return "-"
    return f"{100 * value:+.2f}" if sign else f"{100 * value:g}"


def _console(width: int) -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)


def print_leaderboard(rows: list[Row]) -> None:
    """Print the leaderboard: rates in percent, the mean over seeds; what is the same in every row stands above it."""
    console = _console(160)
    for line in _heading(rows):
        console.print(line, markup=False)
    columns = [name for name in HEADINGS if not _left_out(name, rows)]
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        text = name in TEXTS
        table.add_column(HEADINGS[name], justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in rows:
        table.add_row(*(_with_interval(row, name) for name in columns))
    console.print(table, markup=False)


def print_comparison(rows: list[Row]) -> None:
    """Print published values beside measured ones; nothing when there are none."""
    if not rows:
        return
    console = _console(200)
    headings, *lines = beside_published_table(rows)
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
    lines.append(f"{what}; percent with its 95% interval, mean over seeds; dose: synthetic images per class")
    if _left_out("classifier", rows):
        lines.append(f"classifier {first['classifier']}")
    return lines


def _tested(rows: list[Row]) -> str:
    counts = sorted({str(row["n_test"]) for row in rows if row["n_test"]})
    return f"{' or '.join(counts) or 'no'} test images"


def _left_out(name: str, rows: list[Row]) -> bool:
    if name == "on_the_fly":
        return {row[name] for row in rows} == {BASELINE}
    if name == "classifier":
        return len({row[name] for row in rows}) == 1
    return name == "failed_cells" and not any(row[name] for row in rows)


def _with_interval(row: Row, name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    ends = f" {100 * low:.1f}-{100 * high:.1f}" if isinstance(low, float) and isinstance(high, float) else ""
    return _shown(row[name]) + ends


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if isinstance(value, float) else str(value)
