"""Verifying a store: every checksum of every entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.store.digests import key_of
from lesionbench.store.entry import Entry
from lesionbench.store.inventory import entries
from lesionbench.store.layout import INPUTS, KINDS
from lesionbench.store.whole_folders import find_flaw

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.store.inventory import Item
    from lesionbench.store.store import Store


@dataclass(frozen=True)
class Flaw:
    """An entry that is not as it was written, and what is wrong with it."""

    item: Item
    what: str


@dataclass(frozen=True)
class Verified:
    """How many entries were verified, their bytes, and those that are damaged."""

    count: int
    size: int
    flaws: tuple[Flaw, ...]


def verify(store: Store, *, set_aside: bool = False) -> Verified:
    """Verify every checksum of every entry.

    set_aside: move damaged entries out of the way; without it, nothing is written.
    """
    items = [item for kind in KINDS for item in entries(store.folder, kind)]
    flaws = []
    for item in items:
        what = flaw_of(store.folder.joinpath(*item.name), item.name[1])
        if what is not None:
            flaws.append(Flaw(item, what))
            if set_aside:
                store.set_aside(*item.name)
    return Verified(len(items), sum(item.size for item in items), tuple(flaws))


def flaw_of(folder: Path, key: str) -> str | None:
    """What is wrong with the entry of this key in a folder; None if nothing is."""
    try:
        what = find_flaw(folder)
        entry = Entry(folder)
        if what is None and entry.has(f"{INPUTS}.json") and key_of(entry.json(INPUTS)) != key:
            what = "its key was made from something else"
    except OSError as error:
        return f"it cannot be read now ({error.strerror})"
    except (ValueError, RecursionError):
        return f"{INPUTS}.json cannot be read"
    return what
