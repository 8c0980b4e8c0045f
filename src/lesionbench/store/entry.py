"""An entry of the store: a folder of arrays, texts, JSON files and the folders that plugins save themselves into."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.store.layout import INPUTS, MANIFEST

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """An entry to read from."""

    _place: Path

    @property
    def made(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self._place.stat().st_mtime

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a file as it was noted when the entry was written; None where that cannot be read."""
        try:
            found = json.loads((self._place / MANIFEST).read_bytes())[name]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) else None

    @property
    def inputs(self) -> dict[str, Any]:
        """What its key was made from; empty where that was not kept, or cannot be read."""
        try:
            found = self.json(INPUTS)
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

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
        """Write an array; raises ValueError for one of Python objects, which could only be pickled."""
        np.save(self._place / f"{name}.npy", array, allow_pickle=False)

    def put_text(self, name: str, text: str) -> None:
        """Write a text file; line ends stay as they are."""
        (self._place / name).write_text(text, encoding="utf-8", newline="")

    def put_json(self, name: str, value: object) -> None:
        """Write a JSON file."""
        self.put_text(f"{name}.json", json.dumps(value))

    def put_folder(self, name: str, source: Path) -> None:
        """Copy a folder."""
        shutil.copytree(source, self._place / name)

    def put_all(self, entry: Entry) -> None:
        """Copy every file of another entry; its manifest is written anew."""
        for path in entry._place.iterdir():
            if path.is_dir():
                shutil.copytree(path, self._place / path.name)
            elif path.name != MANIFEST:
                shutil.copyfile(path, self._place / path.name)

    def folder(self, name: str) -> Path:
        """A new, empty folder of the entry, for a plugin that saves itself."""
        place = self._place / name
        place.mkdir()
        return place
