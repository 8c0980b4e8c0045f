"""In words: what came of joining runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lesionbench.report.words import count, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.runs.merge import Merged


def merge_lines(merged: Merged) -> list[str]:
    """The lines to print, 80 columns wide; a command to type is one line."""
    lines = [line for text in _said(merged) for line in wrapped(text)]
    unfinished = merged.failed + merged.waiting + merged.not_stored
    return [*lines, f"To make them: lesionbench run {shlex.quote(str(merged.out))}"] if unfinished else lines


def _said(merged: Merged) -> Iterator[str]:
    yield f"{count(merged.runs, 'run')} joined, {count(merged.cells, 'cell')}. " + (
        f"{count(merged.common, 'cell')} of several runs had the same predictions, byte for byte."
        if merged.common
        else "No cell was in two of them, so nothing shows that their machines compute alike."
    )
    for words in merged.other:
        yield f"different, but joined all the same: {words}"
    if merged.failed:
        yield f"{count(merged.failed, 'cell')} failed; the reasons are in cells.csv"
    if merged.waiting:
        yield f"in none of the runs, and still to be run: {count(merged.waiting, 'cell')}"
    if merged.not_stored:
        yield f"not in the store of their run, so the next run makes them again: {count(merged.not_stored, 'cell')}"
