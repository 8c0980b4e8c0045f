"""Pruning a store: deleting what no run uses any more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, SettingsError, Try
from lesionbench.store.claims import is_living
from lesionbench.store.drafts import remove_by_draft
from lesionbench.store.inventory import Share, damaged, entries, unfinished
from lesionbench.store.layout import CLAIMS, CODE, DAMAGED, DRAFTS, KINDS, UNFINISHED, claim_name
from lesionbench.store.uses import read_uses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench.store.inventory import Item
    from lesionbench.store.store import Store
    from lesionbench.store.uses import EntryName, Use

A_DAY = 86_400  # seconds; the checkpoints of a fit that goes on are newer


@dataclass(frozen=True)
class Pruning:
    """What would be deleted, and which runs keep what they use."""

    entries: Share
    damaged: Share
    unfinished: Share
    kept: tuple[Use, ...]  # of runs whose folder is there
    not_found: tuple[Use, ...]  # of runs whose folder is gone or on another machine; they keep what they use
    imported: tuple[Use, ...]  # of archives, which keep what came from them
    forgotten: tuple[Use, ...]

    @property
    def size(self) -> int:
        """All bytes that would be deleted."""
        return self.entries.size + self.damaged.size + self.unfinished.size


def plan_pruning(store: Store, older: float = 0.0, forget: Sequence[Path] = ()) -> Pruning:
    """What pruning would delete: entries that no run uses and nobody makes now, damaged ones, and old checkpoints.

    older: only what was made that many days ago or earlier.
    forget: folders of runs that are gone for good, and archives, whose entries are not needed any more.
    Raises OutputError if no run has noted what it uses, SettingsError if a run to forget is still there or not known.
    """
    uses = read_uses(store.folder)
    if all(use.is_archive for use in uses):
        raise OutputError(
            f"no run has noted what it uses in {store.folder}, so nothing can be called unused; "
            "run the experiments of this store again: what is finished is not run twice"
        )
    forgotten = _forgotten(uses, forget)
    kept = [use for use in uses if use not in forgotten]
    used = {name for use in kept for name in use.entries}
    before = time.time() - older * A_DAY
    found = (item for kind in KINDS if kind != CODE for item in entries(store.folder, kind))
    return Pruning(
        Share(tuple(item for item in found if item.made <= before and not _is_needed(store, item, used))),
        Share(tuple(item for item in damaged(store.folder) if item.made <= before)),
        Share(
            tuple(
                item
                for item in unfinished(store.folder)
                if item.made <= min(before, time.time() - A_DAY) and not _is_needed(store, item, used)
            )
        ),
        tuple(use for use in kept if use.is_there),
        tuple(use for use in kept if not use.is_there and not use.is_archive),
        tuple(use for use in kept if use.is_archive),
        tuple(forgotten),
    )


def prune(store: Store, pruning: Pruning) -> None:
    """Delete what `plan_pruning` found, but for what a run has begun to use meanwhile."""
    for use in pruning.forgotten:
        use.note.unlink(missing_ok=True)
    used = {name for use in read_uses(store.folder) for name in use.entries}
    for item in pruning.entries.items:
        if not _is_needed(store, item, used):
            _delete(store, store.folder.joinpath(*item.name))
    for item in pruning.unfinished.items:
        if not _is_needed(store, item, used):
            _delete(store, store.folder.joinpath(UNFINISHED, *item.name))
    for item in pruning.damaged.items:
        _delete(store, store.folder / DAMAGED / item.name[1])


def _forgotten(uses: list[Use], forget: Sequence[Path]) -> list[Use]:
    found = []
    for folder in forget:
        noted = [use for use in uses if use.folder == folder.absolute()]  # more than one if machines share the store
        if not noted:
            known = ", ".join(str(use.folder) for use in uses)
            raise SettingsError(f"this store knows {known}; {folder} is none of them")
        if noted[0].is_there:
            raise SettingsError(
                f"only a run whose folder is gone can be forgotten, and {folder} is there",
                Try("delete the folder first"),
            )
        found += noted
    return found


def _is_needed(store: Store, item: Item, used: set[EntryName]) -> bool:
    return item.name in used or is_living(store.folder / CLAIMS / claim_name(*item.name))


def _delete(store: Store, folder: Path) -> None:
    remove_by_draft(folder, store.folder / DRAFTS)
