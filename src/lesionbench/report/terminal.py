"""The tables on the screen: the leaderboard, the verdicts, the doses, and published values; rates as percent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.evidence.papers.beside_published import beside_published_table
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.plain_text import visible
from lesionbench.report.console import WIDE, open_console, print_table
from lesionbench.report.words import count, shown

if TYPE_CHECKING:
    from pathlib import Path

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

MOST_NAMED = 10  # cells that failed
TEXTS = ("augmenter", "on_the_fly", "classifier")


def print_tables(tables: Tables) -> None:
    """Print everything that a run has to show."""
    print_leaderboard(tables.leaderboard)
    print_verdicts(tables.verdicts)
    print_doses(tables.doses)
    print_comparison(tables.comparison)


def unfinished_lines(tables: Tables, out: Path, go_on: str) -> list[str]:
    """How many cells the tables are without, and which failed; nothing when every cell is done.

    go_on: the command that makes them.
    """
    failed, missing = tables.failed, len(tables.failed) + tables.waiting
    why = [f"{number} {what}" for number, what in ((len(failed), "failed"), (tables.waiting, "wait")) if number]
    done = f"{tables.cells - missing} of {count(tables.cells, 'cell')} done"
    lines = [f"{done}, {', '.join(why)}: {go_on}"] if why else []
    if failed:
        more = f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
        lines.append(f"failed: {', '.join(failed[:MOST_NAMED])}{more}; the reasons are in {out}/cells.csv")
    return lines


def print_verdicts(rows: list[Row]) -> None:
    """Print what every arm does to the metric it is judged by, beside the baseline; differences in points."""
    if not rows:
        return
    first = rows[0]
    title = f"against {first['baseline']}, judged by {first['judged_by']}: difference in points, 95% interval"
    several = len({row["classifier"] for row in rows}) > 1
    headings = ["arm", *(["classifier"] if several else []), "difference", "interval", "verdict", "why"]
    left = [index for index, heading in enumerate(headings) if heading not in ("difference", "interval")]
    print_table(open_console(160), title, headings, [_judged(row, several) for row in rows], left=left)


def _judged(row: Row, several: bool) -> list[str]:
    interval = "-" if row["low"] is None else f"{_points(row['low'])} to {_points(row['high'])}"
    named = [ArmKey.of(row).name, *([str(row["classifier"])] if several else [])]
    return [*named, _points(row["difference"]), interval, str(row["verdict"]), str(row["reason"])]


def print_doses(rows: list[Row]) -> None:
    """Print how much is enough, for every row of dose_choice.csv that is given."""
    console = open_console(160)
    varying = [name for name in TEXTS[1:] if len({row[name] for row in rows}) > 1]
    for row in rows:
        whose = ", ".join([str(row["augmenter"]), *(_of_dose(row, name) for name in varying)])
        console.print(visible(f"{whose}: {_enough(row)}{_chosen(row)}"), markup=False)


def _of_dose(row: Row, name: str) -> str:
    return f"{row[name]} on the fly" if name == "on_the_fly" else str(row[name])


def _enough(row: Row) -> str:
    dose = row["smallest_not_inferior_dose"]
    if dose is None:
        return f"how much is enough is not known: {row['reason']}"
    margin = _points(row["margin"], sign=False)
    return f"dose {dose} is enough (not inferior to the best dose by {margin} points)"


def _chosen(row: Row) -> str:
    if row["chosen_dose"] is None:
        return ""
    on_test = shown(row["chosen_on_test"], 2, percent=True)
    chosen = f"; validation chooses {row['chosen_dose']}, {on_test} on test"
    better = _points(row["optimism"])
    if better == "+0.00":
        return chosen
    return f"{chosen}; the best on test, {row['best_on_test_dose']}, looks {better} points better"


def _points(value: object, sign: bool = True) -> str:
    """A difference of rates in percentage points."""
    if not isinstance(value, float):
        return "-"
    return f"{100 * value:+.2f}" if sign else f"{100 * value:g}"


def print_leaderboard(rows: list[Row]) -> None:
    """Print the leaderboard: rates in percent, the mean over seeds; what is the same in every row stands above it."""
    console = open_console(160)
    intervals = console.width >= WIDE
    for line in _heading(rows, intervals):
        console.print(visible(line), markup=False)
    columns = [name for name in HEADINGS if not _left_out(name, rows)]
    cells = [[_rate(row, name) + (_interval(row, name) if intervals else "") for name in columns] for row in rows]
    left = [index for index, name in enumerate(columns) if name in TEXTS]
    print_table(console, None, [HEADINGS[name] for name in columns], cells, left=left, fold_numbers=False)


def print_comparison(rows: list[Row]) -> None:
    """Print published values beside measured ones; nothing when there are none."""
    if not rows:
        return
    headings, *lines = beside_published_table(rows)
    numbers = ("published", "measured", "points")
    left = [index for index, heading in enumerate(headings) if heading not in numbers]
    print_table(open_console(200), "published and measured", headings, lines, left=left)


def _heading(rows: list[Row], intervals: bool) -> list[str]:
    first = rows[0]
    positive = first["positive_class"]
    what = "each class against the rest, weighted by its size" if positive == "each" else f"positive class {positive}"
    lines = [f"{first['dataset']}, split {first['split']}, groups {first['groups']}, {_tested(rows)}"]
    percent = "percent with its 95% interval" if intervals else "percent (a wider screen shows intervals)"
    lines.append(f"{what}; {percent}, mean over seeds; dose: synthetic images per class")
    if first["computed_in"] != "fp32":
        lines.append(f"networks computed in {first['computed_in']}")
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


def _rate(row: Row, name: str) -> str:
    return shown(row[name], 2, percent=True)


def _interval(row: Row, name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f" {100 * low:.1f}-{100 * high:.1f}" if isinstance(low, float) and isinstance(high, float) else ""
