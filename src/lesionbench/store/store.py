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
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.store.claims import give_up, take
from lesionbench.store.digests import file_digest, key_of
from lesionbench.store.entry import Draft, Entry
from lesionbench.store.owners import beating, this_process
from lesionbench.store.whole_files import sync, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DATASETS, SPLITS, FITS, POOLS, PREDICTIONS = "datasets", "splits", "fits", "pools", "predictions"  # kinds of entries
MANIFEST = "manifest.json"
INPUTS = "inputs"  # in an entry: the JSON value whose SHA-256 is the key
CLAIMS, RUNS = "claims", "runs"
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
        if not _is_whole(place):
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
        draft = _empty_folder(place.parent, f".{key[:16]}-")
        try:
            yield Draft(draft)
            if inputs is not None:
                Draft(draft).put_json(INPUTS, inputs)
            _seal(draft)
            if not place.exists():  # another process may have made the same entry meanwhile: the same content
                try:
                    draft.rename(place)
                    sync(place.parent)
                except OSError:
                    if not place.is_dir():
                        raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

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
        """Remove what writers that were interrupted more than a day ago left."""
        for draft in self.folder.glob("*/.*-*"):
            if draft.stat().st_mtime < time.time() - A_DAY:
                shutil.rmtree(draft, ignore_errors=True)

    def _place(self, kind: str, key: str) -> Path:
        return self.folder / kind / key

    def _set_aside(self, entry: Path, kind: str, key: str) -> None:
        damaged = self.folder / "damaged"
        damaged.mkdir(parents=True, exist_ok=True)
        entry.rename(_empty_folder(damaged, f"{kind}-{key[:16]}-") / "entry")


def _empty_folder(parent: Path, prefix: str) -> Path:
    return Path(tempfile.mkdtemp(dir=parent, prefix=prefix))


def _is_whole(entry: Path) -> bool:
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        return all(file_digest(entry / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def _seal(draft: Path) -> None:
    """Write the manifest and sync every file."""
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    manifest = {path.relative_to(draft).as_posix(): file_digest(path) for path in files}
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    draft.chmod(0o755)
    for path in [*files, draft / MANIFEST, draft]:
        sync(path)
