"""What a store holds: entries and their sizes by kind, what is beside them, and which runs use what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.store.layout import DAMAGED, KEY, KINDS, PARTS, SET_ASIDE, UNFINISHED
from lesionbench.store.uses import EntryName, read_uses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from lesionbench.store.uses import Use


@dataclass(frozen=True)
class Item:
    """A folder of a store: its name there, its size in bytes and when it was made (seconds since the epoch)."""

    name: EntryName
    size: int
    made: float


@dataclass(frozen=True)
class Share:
    """Some of the entries of a store."""

    items: tuple[Item, ...]

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(item.size for item in self.items)


@dataclass(frozen=True)
class RunShare:
    """What a run uses: the entries that are in the store, and how many it will still make."""

    use: Use
    share: Share
    missing: int


@dataclass(frozen=True)
class Inventory:
    """What a store holds."""

    folder: Path
    kinds: dict[str, Share]
    damaged: Share  # entries that were set aside
    unfinished: Share  # checkpoints of fits that have not ended
    runs: tuple[RunShare, ...]

    def unused(self, kind: str) -> Share:
        """The entries of a kind that no run has noted."""
        used = {name for run in self.runs for name in run.use.entries}
        return Share(tuple(item for item in self.kinds[kind].items if item.name not in used))


def take_inventory(folder: Path) -> Inventory:
    """List everything in the store in a folder; raises OutputError if it is not known what a run uses."""
    kinds = {kind: Share(tuple(entries(folder, kind))) for kind in KINDS}
    by_name = {item.name: item for share in kinds.values() for item in share.items}
    runs = tuple(_run_share(use, by_name) for use in read_uses(folder))
    return Inventory(folder, kinds, Share(tuple(damaged(folder))), Share(tuple(unfinished(folder))), runs)


def entries(folder: Path, kind: str) -> Iterable[Item]:
    """Every entry of a kind, by key."""
    return (_item(path, (kind, path.name)) for path in _folders(folder / kind) if KEY.fullmatch(path.name))


def damaged(folder: Path) -> Iterable[Item]:
    """Every entry that was set aside."""
    return (_item(path, (DAMAGED, path.name)) for path in _folders(folder / DAMAGED) if SET_ASIDE.fullmatch(path.name))


def unfinished(folder: Path) -> Iterable[Item]:
    """The checkpoints of every fit that has not ended, under the kind and key of what it makes."""
    for kind in KINDS:
        fits = (path for path in _folders(folder / UNFINISHED / kind) if KEY.fullmatch(path.name))
        yield from (_item(path, (kind, path.name)) for path in fits)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _item(path: Path, name: EntryName) -> Item:
    return Item(name, folder_size(path), path.stat().st_mtime)


def folder_size(folder: str | Path) -> int:
    """The bytes of all files in a folder."""
    size = 0
    with os.scandir(folder) as found:
        for one in found:
            size += (
                folder_size(one.path) if one.is_dir(follow_symlinks=False) else one.stat(follow_symlinks=False).st_size
            )
    return size


def _run_share(use: Use, by_name: dict[EntryName, Item]) -> RunShare:
    there: Collection[EntryName] = use.entries & by_name.keys()
    to_make = {name for name in use.entries if name[0] != PARTS and name not in there}  # parts go when their fit comes
    return RunShare(use, Share(tuple(by_name[name] for name in sorted(there))), len(to_make))
