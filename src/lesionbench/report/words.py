"""Numbers and small tables as text, for every page that a person reads."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


WIDTH = 80


def wrapped(text: str, depth: int = 0) -> list[str]:
    """A sentence as lines of 80 columns, indented by `depth`; those after the first are indented once more."""
    indent = "  " * depth
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def shown(value: object, decimals: int, *, percent: bool = False) -> str:
    """A value of a table; a number that is not known is a dash, and with `percent` a fraction is in percent."""
    if value is None:
        return "-"
    return f"{100 * value if percent else value:.{decimals}f}" if isinstance(value, float) else str(value)


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """The rows of a table as indented lines; the columns in `left` are text, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
