"""comparison.csv: published values beside the measured ones, one row for each published value."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from lesionbench.evidence.papers.grim import grim
from lesionbench.pipeline.arm import Arm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.papers.published import Published
    from lesionbench.pipeline.leaderboard import Row

BESIDE_PUBLISHED_COLUMNS = (
    "paper",
    "table",
    "system",
    "dataset",
    "augmenter",
    "synthetic_per_class",
    "on_the_fly",
    "classifier",
    "positive_class",
    "class",
    "metric",
    "printed",
    "published",
    "measured",
    "difference",
    "status",
    "n",
    "n_test",
    "seeds",
    "grim",
    "note",
)
ARM_KEYS = tuple(field.name for field in fields(Arm))
SHOWN = {
    "paper": "paper",
    "table": "table",
    "system": "system",
    "class": "class",
    "metric": "metric",
    "printed": "published",
    "measured": "measured",
    "difference": "points",
    "grim": "GRIM",
}


def beside_published(
    published: Sequence[Published], leaderboard_rows: Sequence[Row], class_rows: Sequence[Row]
) -> list[Row]:
    """One row for each published value, in the given order, with the BESIDE_PUBLISHED_COLUMNS; rates are fractions.

    leaderboard_rows, class_rows: the rows of leaderboard.csv and per_class.csv, with numbers as numbers.
    """
    dataset = leaderboard_rows[0]["dataset"] if leaderboard_rows else None
    return [_row(value, leaderboard_rows, class_rows) | {"dataset": dataset} for value in published]


def _row(value: Published, leaderboard_rows: Sequence[Row], class_rows: Sequence[Row]) -> Row:
    status, found = _look_up(value, class_rows if value.class_name else leaderboard_rows)
    measured = found[value.metric] if found else None
    rate = float(value.printed.value)
    return {
        "paper": value.paper,
        "table": value.table,
        "system": value.system,
        **_described(value.arm),
        "positive_class": value.positive_class,
        "class": value.class_name,
        "metric": value.metric,
        "printed": value.printed.text,
        "published": rate,
        "measured": measured,
        "difference": measured - rate if isinstance(measured, float) else None,
        "status": status,
        "n": value.n,
        "n_test": found["n_test"] if found else None,
        "seeds": found["seeds"] if found else None,
        "grim": grim(value.printed, value.n) if value.n else "not applicable",
        "note": value.note,
    }


def _described(arm: Arm | None) -> Row:
    return {key: getattr(arm, key) if arm else None for key in ARM_KEYS}


def _look_up(value: Published, rows: Sequence[Row]) -> tuple[str, Row | None]:
    """The status of the published value, and the row in which it was measured, if it was."""
    if value.arm is None:
        return "no such arm", None
    of_arm = [row for row in rows if all(row[key] == getattr(value.arm, key) for key in ARM_KEYS)]
    of_arm = [row for row in of_arm if row["seeds"]]
    if not of_arm:
        return "not run", None
    if value.class_name:
        of_arm = [row for row in of_arm if row["class"] == value.class_name]
        if not of_arm:
            return "no such class", None
    if value.positive_class and of_arm[0]["positive_class"] != value.positive_class:
        return "other positive class", None
    if of_arm[0][value.metric] is None:
        return "not known", None
    return "measured", of_arm[0]


def beside_published_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The rows as text for the screen, with the headings first.

    Published values are as printed, measured ones in percent, and differences in percentage points. If nothing was
    measured, the status is shown instead. Empty columns and a paper that is the same in all rows are left out.
    """
    names = [name for name in SHOWN if name == "measured" or any(row[name] not in (None, "") for row in rows)]
    if len({row["paper"] for row in rows}) == 1:
        names.remove("paper")
    return [tuple(SHOWN[name] for name in names), *(tuple(_shown(row, name) for name in names) for row in rows)]


def _shown(row: Row, name: str) -> str:
    value = row[name]
    if name == "measured" and value is None:
        return str(row["status"])
    if name == "difference":
        return f"{100 * value:+.2f}" if isinstance(value, float) else ""
    return f"{100 * value:.2f}" if isinstance(value, float) else str(value or "")
