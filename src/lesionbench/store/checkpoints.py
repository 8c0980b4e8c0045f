"""Checkpoints of one unfinished fit: the last state that was saved whole, until the fit's entry is made.

A checkpoint is a folder `STEP-RANDOM` of plain files with their checksums, written beside its place, synced and
renamed. Several processes may work on the same fit: each writes checkpoints of its own, any of them is right, and the
one with the most steps counts.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from lesionbench.store.entry import Draft, Entry
from lesionbench.store.whole_files import sync
from lesionbench.store.whole_folders import empty_folder, is_whole, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIT = "fit.txt"  # in a checkpoint: the key of its fit
NAMES, DRAFT = "[0-9]*-*", ".draft-"
TRIES = 3

Taken = TypeVar("Taken")
log = logging.getLogger("lesionbench")


class Checkpoints:
    """The checkpoints of one fit, in a folder that belongs to it alone; `fit` is the fit's key."""

    def __init__(self, folder: Path, fit: str) -> None:
        self.folder = folder
        self.fit = fit

    def read(self, take: Callable[[Entry], Taken]) -> Taken | None:
        """What `take` reads from the whole checkpoint with the most steps, or None without one.

        Logs a warning for a checkpoint that is damaged or belongs to another fit, and leaves it alone.
        """
        for _ in range(TRIES):  # another process of the same fit replaces checkpoints, perhaps while this one reads
            places = self._places()
            for place in reversed(places):
                if not self._is_ours(place):
                    continue
                try:
                    return take(Entry(place))
                except FileNotFoundError:
                    continue
            if all(place.is_dir() for place in places):
                break
        return None

    @contextmanager
    def write(self, step: int) -> Iterator[Draft]:
        """A draft that becomes the checkpoint after `step` steps when the block ends well; it replaces earlier ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = empty_folder(self.folder, DRAFT)
        try:
            yield Draft(draft)
            Draft(draft).put_text(FIT, self.fit)
            seal(draft)
            place = self.folder / f"{step:012}-{draft.name.removeprefix(DRAFT)}"  # no other process has this name
            draft.rename(place)
            sync(self.folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        for earlier in self._places():
            if earlier != place and _step(earlier) <= step:
                shutil.rmtree(earlier, ignore_errors=True)

    def remove(self) -> None:
        """Remove them all: the fit's entry is made."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _places(self) -> list[Path]:
        """The folders of checkpoints, by the number of their steps."""
        return sorted(self.folder.glob(NAMES), key=_step)

    def _is_ours(self, place: Path) -> bool:
        with suppress(OSError, ValueError):
            if is_whole(place) and (place / FIT).read_text(encoding="utf-8") == self.fit:
                return True
        if place.is_dir():  # otherwise another process has just replaced it
            log.warning("the checkpoint %s is damaged or belongs to another fit, so it is not used", place)
        return False


def _step(place: Path) -> int:
    digits = place.name.partition("-")[0]
    return int(digits) if digits.isdecimal() and digits.isascii() else -1
