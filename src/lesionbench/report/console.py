"""Printing on the terminal: lines, and tables that all have one look; nothing that a name holds can control it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from lesionbench.plain_text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

WIDE = 120  # columns of the screen


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
    shown = None if title is None else visible(title)
    space = 1 if console.width >= WIDE else 0  # beside each cell; a narrow screen needs it for what the cells say
    table = Table(box=box.SIMPLE_HEAD, title=shown, title_justify="left", title_style="", padding=(0, space))
    for index, heading in enumerate(headings):
        text = index in left
        no_wrap = not (text or fold_numbers)
        table.add_column(heading, justify="left" if text else "right", overflow="fold", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*map(visible, row))
    console.print(table, markup=False)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines that the terminal breaks itself, so that a command in them can be copied whole."""
    for line in lines:
        console.print(visible(line), markup=False, soft_wrap=True)


def say(lines: Iterable[str]) -> None:
    """Print each line as soon as it is known."""
    for line in lines:
        sys.stdout.write(f"{visible(line)}\n")
        sys.stdout.flush()


def say_in_words(lines: Iterable[str]) -> None:
    """Print lines that a terminal shows broken between words; they stay whole in a file or a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        say(lines)
        return
    for line in lines:
        console.print(visible(line), markup=False)
