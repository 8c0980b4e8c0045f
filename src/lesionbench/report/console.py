"""The console that tables are printed on, and the one look that they all have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


def open_console(width: int) -> Console:
    """The terminal; where the output goes into a file or a pipe, a page this wide."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)


def print_table(
    console: Console,
    title: str | None,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Collection[int],
    fold_numbers: bool = True,
) -> None:
    """Print a table; the columns in `left` are text, all others numbers.

    fold_numbers: whether numbers may be broken over two lines where the table is wider than the screen.
    """
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    for index, heading in enumerate(headings):
        text = index in left
        no_wrap = not (text or fold_numbers)
        table.add_column(heading, justify="left" if text else "right", overflow="fold", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines that the terminal breaks itself, so that a command in them can be copied whole."""
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
