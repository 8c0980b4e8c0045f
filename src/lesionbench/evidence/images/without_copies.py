"""The leaderboard with the numbers of new synthetic images and of copies in each arm."""

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
    """How many synthetic images per class one cell was trained on, and how many of them are copies."""

    images: float
    copies: float


def without_copies(rows: Iterable[Row], counts: Sequence[Sequence[Counts]]) -> tuple[list[Row], list[Row]]:
    """The leaderboard's rows with the COPY_COLUMNS, and separately the rows of arms whose images are all copies.

    counts: for each row, those of its finished cells; without any, the columns are empty. The metrics were measured
    with the copies included.
    """
    kept: list[Row] = []
    left_out: list[Row] = []
    for row, of_cells in zip(rows, counts, strict=True):
        counted = {**row, **_counted(of_cells)}
        images = counted["drawn_per_class"]
        (left_out if images and counted["copies_per_class"] == images else kept).append(counted)
    return kept, left_out


def _counted(of_cells: Sequence[Counts]) -> Row:
    if not of_cells:
        return dict.fromkeys(COPY_COLUMNS)
    images = sum(cell.images for cell in of_cells) / len(of_cells)
    copies = sum(cell.copies for cell in of_cells) / len(of_cells)
    share = copies / images if images else 0.0
    return dict(zip(COPY_COLUMNS, (images, copies, share, images - copies), strict=True))
