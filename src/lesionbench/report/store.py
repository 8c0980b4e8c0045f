"""A store in words: what it holds, what is damaged, what would be deleted, what went into an archive or came out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lesionbench.report.words import aligned, count
from lesionbench.store.layout import CODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.store.archive import Exported, Imported
    from lesionbench.store.inventory import Inventory
    from lesionbench.store.pruning import Pruning
    from lesionbench.store.uses import Use
    from lesionbench.store.verifying import Flaw, Verified

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
AGES = ((86_400, "day"), (3_600, "hour"), (60, "minute"))  # seconds


def size_text(size: int) -> str:
    """A number of bytes: `512 bytes`, `2.1 MB`."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 99.5 else f"{value:.1f} {UNITS[unit]}"


def age_text(made: float, now: float) -> str:
    """How long ago something was made: `3 days`, `under a minute`."""
    seconds = max(0.0, now - made)
    return next((count(int(seconds // unit), name) for unit, name in AGES if seconds >= unit), "under a minute")


def entries_text(number: int, size: int) -> str:
    """`3 entries, 2.1 MB`."""
    return f"{number} {'entry' if number == 1 else 'entries'}, {size_text(size)}"


def inventory_lines(inventory: Inventory) -> list[str]:
    """What a store holds: a line a kind, what is beside the entries, and a line a run."""
    now = time.time()
    rows = [["kind", "entries", "size", "oldest", "newest", "used by no run"]]
    for kind, share in inventory.kinds.items():
        if share.items:
            made = [item.made for item in share.items]
            ages = [age_text(min(made), now), age_text(max(made), now)]
            unused = "-" if kind == CODE else str(len(inventory.unused(kind).items))  # shared by all, and never pruned
            rows.append([kind, str(len(share.items)), size_text(share.size), *ages, unused])
    table = aligned(rows, left=(0,)) if len(rows) > 1 else ["  no entries"]
    return [f"the store in {inventory.folder}", *table, *_beside(inventory), *_runs(inventory)]


def _beside(inventory: Inventory) -> Iterator[str]:
    if inventory.damaged.items:
        yield f"damaged and set aside: {entries_text(len(inventory.damaged.items), inventory.damaged.size)}"
    if inventory.unfinished.items:
        fits = count(len(inventory.unfinished.items), "unfinished fit")
        yield f"checkpoints of {fits}: {size_text(inventory.unfinished.size)}"


def _runs(inventory: Inventory) -> Iterator[str]:
    if not inventory.runs:
        yield "no run has noted what it uses; a run does when it starts"
        return
    yield "runs that use it"
    rows = [["entries", "to make", "size", "folder"]]
    for run in inventory.runs:
        state = "  (imported)" if run.use.is_archive else "" if run.use.is_there else "  (not found)"
        folder = f"{run.use.folder}{state}"
        rows.append([str(len(run.share.items)), str(run.missing), size_text(run.share.size), folder])
    yield from aligned(rows, left=(3,))


def verified_lines(verified: Verified, folder: Path, *, set_aside: bool) -> list[str]:
    """One line for each damaged entry, and then the number of entries verified."""
    number = len(verified.flaws)
    whole = "every checksum is right" if not number else f"{number} damaged" + (" and set aside" if set_aside else "")
    return [
        *flaw_lines(verified.flaws),
        f"{folder}: {entries_text(verified.count, verified.size)}: {whole}",
    ]


def flaw_lines(flaws: tuple[Flaw, ...]) -> list[str]:
    """A line for each damaged entry."""
    return [f"damaged: {'/'.join(flaw.item.name)}: {flaw.what}" for flaw in flaws]


def pruning_lines(pruning: Pruning, folder: Path, *, done: bool) -> list[str]:
    """The lines that say which runs are forgotten, which entries are deleted and which are kept."""
    would_be = "" if done else "would be "
    parts = [
        ("used by no run", pruning.entries),
        ("damaged and set aside", pruning.damaged),
        ("checkpoints of fits that no run waits for", pruning.unfinished),
    ]
    rows = [[str(len(share.items)), size_text(share.size), name] for name, share in parts if share.items]
    lines = [f"{folder}: {size_text(pruning.size)} {would_be}deleted" if rows else f"{folder}: nothing to delete"]
    return [
        *(f"{would_be}forgotten: {use.folder}" for use in pruning.forgotten),
        *lines,
        *aligned(rows, left=(2,)),
        *(f"kept: what {use.folder} uses" for use in pruning.kept),
        *(_not_found_line(use) for use in pruning.not_found),
        *(f"kept: what was imported from {use.folder}, until that is forgotten" for use in pruning.imported),
    ]


def _not_found_line(use: Use) -> str:
    return f"kept: what {use.folder} uses, although that folder is not found here"


def exported_lines(exported: Exported, archive: Path) -> list[str]:
    """What was written into an archive, and what was left out."""
    return [*flaw_lines(exported.flaws), f"{archive}: {entries_text(exported.count, exported.size)}"]


def imported_lines(imported: Imported, folder: Path) -> list[str]:
    """What came into a store, and what did not."""
    damaged = [f"damaged in the archive: {name}" for name in imported.damaged]
    new = f"{imported.new} new {'entry' if imported.new == 1 else 'entries'}"
    return [*damaged, f"{folder}: {new}, {imported.there} already there"]
