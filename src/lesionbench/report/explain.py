"""In words: what is known of a cell or pool, and why it runs again."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lesionbench.report.words import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lesionbench.runs.explain import Difference, Explanation


def explanation_lines(found: Explanation, out: Path) -> list[str]:
    """The lines to print, 80 columns wide; a command to type is one line."""
    lines = [line for text, depth in _said(found, out) for line in wrapped(text, depth)]
    return lines if found.made else [*lines, f"To make it: lesionbench run {shlex.quote(str(out))}"]


def _said(found: Explanation, out: Path) -> Iterator[tuple[str, int]]:
    """Sentences, each with how far it is indented."""
    yield _status(found), 0
    if found.error:
        yield found.error, 1
        yield f"more in {out / 'logs' / found.name}", 1
    if found.damage:
        verb = "were" if found.what.endswith("s") else "was"
        yield f"The stored {found.what} {verb} damaged, {found.damage}.", 0
    if found.missing:
        yield f"It needs what is not made yet: {', '.join(found.missing)}", 0
    if found.parts[1]:
        verb = "is" if found.parts[0] == 1 else "are"
        yield f"Of the {found.parts[1]} parts of its fit, {found.parts[0]} {verb} there.", 0
    if found.to_draw:
        yield f"Needed by it, and fitted but not drawn yet: {', '.join(found.to_draw)}", 0
    if found.undrawn:
        yield "Its images are not in the store; they are drawn from the fit when a cell needs them.", 0
    if found.earlier is not None and not found.earlier.is_of_another_seed:
        yield _heading(found, _date(found.earlier.made)), 0
        yield from _differences(found.earlier.differences, 1)
    elif found.made is None and not found.damage:
        yield _never_made(found), 0


def _heading(found: Explanation, date: str) -> str:
    if found.made:
        return f"An earlier version, made {date}, differs:"
    if found.ran:
        return f"It runs again, because since {date}:"
    return f"The nearest that the store has, made {date}, differs:"


def _never_made(found: Explanation) -> str:
    if found.earlier is None:
        return "No earlier version of it is known here."
    return f"It was never made with this seed (base seed {found.base_seed}); the store has it for other seeds."


def _status(found: Explanation) -> str:
    if found.made is None:
        return f"{found.name}: {found.status}"
    cost = f" in {found.record.seconds:.1f} s" if found.record else ""
    where = f" ({found.record.machine})" if found.record and found.record.machine else ""
    return f"{found.name}: done, made {_date(found.made)}{cost}{where}"


def _differences(differences: Iterable[Difference], depth: int) -> Iterator[tuple[str, int]]:
    for one in differences:
        yield (f"{one.words}, because" if one.because else one.words), depth
        yield from _differences(one.because, depth + 1)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
