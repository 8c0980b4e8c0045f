"""The content-addressed store: what was made once is found again by what it was made from.

An entry is a folder `KIND/KEY` of plain files and a `manifest.json` with their checksums. The key is a SHA-256 over
canonical JSON of everything that can change the content. An entry is written beside its place, synced and renamed,
so it is there whole or not at all; an entry that fails its checksums on reading is set aside and made again.

Callers read and write whole entries: arrays, texts, JSON and the folders that plugins save themselves into.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lesionbench.store.checkpoints import Checkpoints
from lesionbench.store.claims import give_up, take
from lesionbench.store.digests import key_of
from lesionbench.store.entry import Draft, Entry
from lesionbench.store.owners import beating, this_process
from lesionbench.store.whole_files import sync, write_whole
from lesionbench.store.whole_folders import empty_folder, is_whole, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DATASETS, SPLITS, FITS, POOLS, PREDICTIONS = "datasets", "splits", "fits", "pools", "predictions"  # kinds of entries
CODE = "code"  # the digests of the modules behind a digest of code; few and small, so never pruned
INPUTS = "inputs"  # in an entry: the JSON value whose SHA-256 is the key
CLAIMS, RUNS, UNFINISHED = "claims", "runs", "unfinished"
A_DAY = 86_400  # seconds; longer than a fit is written to


class Store:
    """A folder of entries; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, kind: str, key: str) -> bool:
        """Whether an entry is there; its content is not looked at."""
        return self._place(kind, key).is_dir()

    def glance(self, kind: str, key: str) -> Entry | None:
        """The entry without verifying its checksums, for what costs nothing when it is wrong; None without one."""
        place = self._place(kind, key)
        return Entry(place) if place.is_dir() else None

    def read(self, kind: str, key: str) -> Entry | None:
        """The entry, its checksums verified, or None when it must be made (again)."""
        place = self._place(kind, key)
        if not place.is_dir():
            return None
        if not is_whole(place):
            self._set_aside(place, kind, key)
            return None
        return Entry(place)

    @contextmanager
    def write(self, kind: str, key: str, inputs: object = None) -> Iterator[Draft]:
        """A draft that becomes the entry when the block ends well, and is removed when it does not.

        inputs: the JSON value whose SHA-256 is the key; it is kept in the entry, to say later what it was made from.
        """
        assert inputs is None or key_of(inputs) == key
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = empty_folder(place.parent, f".{key[:16]}-")
        try:
            yield Draft(draft)
            if inputs is not None:
                Draft(draft).put_json(INPUTS, inputs)
            seal(draft)
            if not place.exists():  # another process may have made the same entry meanwhile: the same content
                try:
                    draft.rename(place)
                    sync(place.parent)
                except OSError:
                    if not place.is_dir():
                        raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def checkpoints(self, kind: str, key: str) -> Checkpoints:
        """The checkpoints of the fit that makes this entry, on this machine; whoever has made it removes them."""
        return Checkpoints(self.folder / UNFINISHED / kind / key, key)

    @contextmanager
    def claim(self, kind: str, key: str) -> Iterator[bool]:
        """True for the one process that may make this entry now, False while another living process makes it.

        Look the entry up again once you have the claim. A claim is taken over when its owner is dead or, on another
        machine, was silent for a minute; ask again from time to time, because that minute is watched from here.
        """
        path, owner = self.folder / CLAIMS / f"{kind}-{key}.json", this_process()
        if not take(path, owner):
            yield False
            return
        try:
            with beating(path):
                yield True
        finally:
            give_up(path, owner)

    def note_use(self, run_folder: Path, keys: Iterable[tuple[str, str]]) -> None:
        """Note which entries, each a kind and a key, the run in a folder uses; `lesionbench store prune` keeps them."""
        folder, store = run_folder.absolute(), self.folder.absolute()
        inside = store.is_relative_to(folder)  # then both can be moved together
        noted = os.path.relpath(folder, store) if inside else str(folder)
        uses: dict[str, list[str]] = {}
        for kind, key in sorted(set(keys)):
            uses.setdefault(kind, []).append(key)
        (store / RUNS).mkdir(parents=True, exist_ok=True)
        write_whole(store / RUNS / f"{key_of(noted)[:16]}.json", json.dumps({"folder": noted, "uses": uses}))

    def sweep(self) -> None:
        """Remove what writers that were interrupted more than a day ago left, and checkpoints of finished fits."""
        for draft in self.folder.glob("*/.*-*"):
            if draft.stat().st_mtime < time.time() - A_DAY:
                shutil.rmtree(draft, ignore_errors=True)
        for unfinished in self.folder.glob(f"{UNFINISHED}/*/*"):
            if self.has(unfinished.parent.name, unfinished.name):  # whoever made the entry was killed right afterwards
                shutil.rmtree(unfinished, ignore_errors=True)

    def _place(self, kind: str, key: str) -> Path:
        return self.folder / kind / key

    def _set_aside(self, entry: Path, kind: str, key: str) -> None:
        damaged = self.folder / "damaged"
        damaged.mkdir(parents=True, exist_ok=True)
        entry.rename(empty_folder(damaged, f"{kind}-{key[:16]}-") / "entry")
