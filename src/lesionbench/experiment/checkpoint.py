"""The checkpoint of one fit: saved at most every five minutes, and for less than 1% of the fit's time.

A checkpoint has the plugin's state (arrays as safetensors, the rest as JSON), what the fit has cost, and the files in
its folder, among them the lines of its progress.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.experiment.progress_log import Progress, Record
from lesionbench.pipeline.context import SavedState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lesionbench.store.checkpoints import Checkpoints
    from lesionbench.store.entry import Entry

EVERY = 300.0  # seconds from the start or from one checkpoint to the next, at least
SHARE = 0.01  # of the fit's time
BYTES_PER_SECOND = 1e8  # assumed of the disk until the first checkpoint has been timed

STATE, ARRAYS, VALUES, COST, NOTES = "state", "arrays.safetensors", "values", "cost", "notes"  # inside a checkpoint

log = logging.getLogger("lesionbench")


@dataclass(frozen=True)
class _Kept:
    """The content of a checkpoint; the files are relative names with their bytes."""

    state: SavedState
    cost: Record
    files: dict[str, bytes]


class FitCheckpoint:
    """Saves and loads the state of one fit, whose progress and files it keeps too."""

    def __init__(self, kept: Checkpoints, progress: Progress) -> None:
        self._kept = kept
        self._progress = progress
        self._start = self._last = time.monotonic()  # of the fit, and of the latest checkpoint
        self._asked: float | None = None  # when it was due and the plugin began to gather its state
        self._spent = 0.0  # seconds for saving, so far
        self._next: float | None = None  # seconds for saving the next time, as the last time
        self._loaded: int | None = None  # reported steps of the state that the fit goes on from

    def load(self) -> SavedState | None:
        """The last state, with what the fit had cost and its files put back; None without one."""
        found = self._kept.read(_content)
        if found is None:
            return None
        for name, content in found.files.items():
            path = self._progress.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._progress.resume(found.cost, found.state.step)
        self._loaded = found.cost.steps
        log.info("%s: resumed at step %d", self._progress.folder.name, found.state.step)
        return found.state

    def due(self) -> bool:
        """Whether it is time to save again."""
        now = time.monotonic()
        due = now - self._last >= EVERY and self._is_cheap(self._next or 0.0, now)
        self._asked = now if due else None
        return due

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], values: Any = None) -> None:
        """Write the state if it is time; a state that cannot be written is a warning, and the fit goes on."""
        if self._asked is None and not self.due():
            return
        started, self._asked = self._asked or time.monotonic(), None
        try:
            if self._next is None:
                self._next = sum(array.nbytes for array in arrays.values()) / BYTES_PER_SECOND
            if not self._is_cheap(self._next, started):
                return
            self._write(step, arrays, values)
        except Exception as error:  # a full disk, values that JSON cannot hold: the fit is worth more
            log.warning("a checkpoint could not be written (%s: %s); the fit goes on", type(error).__name__, error)
        self._last = time.monotonic()
        self._next = self._last - started
        self._spent += self._next

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """If the block fails before it reports a step beyond the state it loaded, that state is not used again."""
        try:
            yield
        except Exception:
            if self._loaded is not None and self._progress.steps <= self._loaded:
                self.remove()
            raise

    def remove(self) -> None:
        """Remove what was saved: the result of the fit is kept, or the state is of no use."""
        self._kept.remove()

    def _is_cheap(self, seconds: float, now: float) -> bool:
        return self._spent + seconds <= SHARE * (now - self._start)

    def _write(self, step: int, arrays: Mapping[str, NDArray[Any]], values: Any) -> None:
        from safetensors.numpy import save_file  # imported where a fit is long enough to need it

        with self._kept.write(step) as draft:
            contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
            save_file(contiguous, draft.folder(STATE) / ARRAYS)
            draft.put_json(VALUES, {"step": step, "values": values})
            draft.put_json(COST, asdict(self._progress.record()))
            draft.put_folder(NOTES, self._progress.folder)


def _content(entry: Entry) -> _Kept:
    from safetensors.numpy import load_file

    values, notes = entry.json(VALUES), entry.folder(NOTES)
    state = SavedState(values["step"], load_file(entry.folder(STATE) / ARRAYS), values["values"])
    files = {
        path.relative_to(notes).as_posix(): path.read_bytes() for path in sorted(notes.rglob("*")) if path.is_file()
    }
    return _Kept(state, Record(**entry.json(COST)), files)
