"""The content-addressed store: what was made once is found again by what it was made from.

An entry is a folder `KIND/KEY` of plain files and a `manifest.json` with their checksums. The key is a SHA-256 over
canonical JSON of everything that can change the content. An entry is written beside its place, synced and renamed,
so it is there whole or not at all; an entry that fails its checksums on reading is set aside and made again.

Callers read and write whole entries: arrays, texts, JSON and the folders that plugins save themselves into.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DATASETS, SPLITS, FITS, POOLS, PREDICTIONS = "datasets", "splits", "fits", "pools", "predictions"  # kinds of entries
MANIFEST = "manifest.json"
A_DAY = 86_400  # seconds; longer than a fit is written to


def key_of(inputs: object) -> str:
    """The SHA-256, in hex, of the canonical JSON of `inputs`."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256, in hex, of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """One SHA-256 over the relative names and the bytes of many files."""
    return key_of([[path.relative_to(root).as_posix(), file_digest(path)] for path in paths])


@dataclass(frozen=True)
class Entry:
    """An entry to read from."""

    _place: Path

    @property
    def made(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self._place.stat().st_mtime

    def has(self, name: str) -> bool:
        """Whether it holds this file or folder."""
        return (self._place / name).exists()

    def array(self, name: str) -> Any:
        """The array of this name; its dtype and shape are those that were written."""
        return np.load(self._place / f"{name}.npy")

    def text(self, name: str) -> str:
        """The content of a text file; line ends stay as they are."""
        return (self._place / name).read_bytes().decode()

    def json(self, name: str) -> Any:
        """The content of a JSON file."""
        return json.loads(self.text(f"{name}.json"))

    def folder(self, name: str) -> Path:
        """A folder on this machine with what was written into `Draft.folder(name)`; read it, never change it."""
        return self._place / name


@dataclass(frozen=True)
class Draft:
    """An entry that is being written."""

    _place: Path

    def put_array(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Write an array."""
        np.save(self._place / f"{name}.npy", array)

    def put_text(self, name: str, text: str) -> None:
        """Write a text file; line ends stay as they are."""
        (self._place / name).write_text(text, encoding="utf-8", newline="")

    def put_json(self, name: str, value: object) -> None:
        """Write a JSON file."""
        self.put_text(f"{name}.json", json.dumps(value))

    def put_folder(self, name: str, source: Path) -> None:
        """Copy a folder."""
        shutil.copytree(source, self._place / name)

    def folder(self, name: str) -> Path:
        """A new, empty folder of the entry, for a plugin that saves itself."""
        place = self._place / name
        place.mkdir()
        return place


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
    def write(self, kind: str, key: str) -> Iterator[Draft]:
        """A draft that becomes the entry when the block ends well, and is removed when it does not."""
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = _empty_folder(place.parent, f".{key[:16]}-")
        try:
            yield Draft(draft)
            _seal(draft)
            if not place.exists():  # another process may have made the same entry meanwhile: the same content
                try:
                    draft.rename(place)
                    _sync(place.parent)
                except OSError:
                    if not place.is_dir():
                        raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

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
        _sync(path)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows does not open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or as it was before."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        _sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
