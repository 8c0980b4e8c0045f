"""The leaderboard with, for every arm, how many of its synthetic images are new and how many are copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.pipeline.leaderboard import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COPY_COLUMNS = ("drawn_per_class", "copies_per_class", "copies_share", "new_per_class")
WITHOUT_COPIES_COLUMNS = (*COLUMNS, *COPY_COLUMNS)


@dataclass(frozen=True)
class Counts:
    """Of the synthetic images that one cell was trained on, a number a class: all of them, and the copies."""

    drawn: float
    copies: float


def without_copies(rows: Iterable[Row], counts: Sequence[Sequence[Counts]]) -> tuple[list[Row], list[Row]]:
    """The leaderboard's rows with the COPY_COLUMNS, and apart from them those whose images are all copies.

    counts: for every row, those of its finished cells; a row without any has empty columns. The metrics are those
    that were measured with the copies in.
    """
    kept: list[Row] = []
    left_out: list[Row] = []
    for row, of_cells in zip(rows, counts, strict=True):
        counted = {**row, **_counted(of_cells)}
        drawn = counted["drawn_per_class"]
        (left_out if drawn and counted["copies_per_class"] == drawn else kept).append(counted)
    return kept, left_out


def _counted(of_cells: Sequence[Counts]) -> Row:
    if not of_cells:
        return dict.fromkeys(COPY_COLUMNS)
    drawn = sum(cell.drawn for cell in of_cells) / len(of_cells)
    copies = sum(cell.copies for cell in of_cells) / len(of_cells)
    share = copies / drawn if drawn else 0.0
    return dict(zip(COPY_COLUMNS, (drawn, copies, share, drawn - copies), strict=True))
