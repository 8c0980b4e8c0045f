"""The content-addressed store: what was made once is found again by what it was made from.

An entry is a folder `KIND/KEY` of plain files and a `manifest.json` with their checksums. The key is a SHA-256 over
canonical JSON of everything that can change the content. An entry is written as a draft, synced and renamed, so it is
there whole or not at all. Reading verifies the checksums and changes nothing: an entry that fails them counts as
missing, and is set aside once it was made again.

Callers read and write whole entries: arrays, texts, JSON and the folders that plugins save themselves into.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from lesionbench.store.checkpoints import Checkpoints
from lesionbench.store.claims import claimed
from lesionbench.store.digests import key_of
from lesionbench.store.drafts import new_draft, remove_by_draft, sweep_drafts
from lesionbench.store.entry import Draft, Entry
from lesionbench.store.layout import CLAIMS, DAMAGED, DRAFTS, FITS, INPUTS, PARTS, UNFINISHED
from lesionbench.store.marks import is_marked, mark
from lesionbench.store.uses import write_use
from lesionbench.store.whole_files import sync
from lesionbench.store.whole_folders import is_whole, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

TRIES = 3  # network disks report failures of what they did, or fail once
WAIT = 0.05  # seconds between two looks whether another process has set an entry aside
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class Store:
    """A folder of entries; several processes may share it."""

    unsent: str | None = None  # why the last entry is not in its place yet; see `settle`

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Raise OutputError if the folder holds anything else than a store of a format that we know; write nothing."""
        is_marked(self.folder)

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
        return Entry(place) if is_whole(place) else None

    def seek(self, kind: str, key: str) -> Entry | None:
        """The entry as `read` gives it, for who can make it as well; None also when the store does not answer."""
        return self.read(kind, key)

    @contextmanager
    def write(self, kind: str, key: str, inputs: object = None) -> Iterator[Draft]:
        """A draft that becomes the entry when the block ends well, and is removed when it does not.

        inputs: the JSON value whose SHA-256 is the key; it is kept in the entry, to say later what it was made from.
        """
        assert inputs is None or key_of(inputs) == key
        mark(self.folder)
        with new_draft(self.folder / DRAFTS) as place:
            draft = Draft(place)
            yield draft
            if inputs is not None:
                draft.put_json(INPUTS, inputs)
            seal(place)
            self.put(place, kind, key)

    def copy_to(self, other: Store, kind: str, key: str) -> bool:
        """Copy an entry into another store unless it is there; False if it is not here or damaged."""
        if other.has(kind, key):
            return True
        entry = self.read(kind, key)
        if entry is None:
            return False
        with other.write(kind, key) as draft:
            draft.put_all(entry)
        return True

    def remove(self, kind: str, key: str) -> None:
        """Remove an entry, if it is there."""
        if self._place(kind, key).exists():
            remove_by_draft(self._place(kind, key), self.folder / DRAFTS)

    def keys(self, kind: str) -> list[str]:
        """The keys of all entries of a kind that are on this machine."""
        return sorted(place.name for place in (self.folder / kind).glob("[0-9a-f]*"))

    def is_set_aside(self, kind: str, key: str) -> bool:
        """Whether an entry with this key was damaged and set aside."""
        return any((self.folder / DAMAGED).glob(f"{kind}-{key[:16]}-*"))

    def checkpoints(self, kind: str, key: str) -> Checkpoints:
        """The checkpoints of the fit that makes this entry, on this machine; whoever has made it removes them."""
        mark(self.folder)
        return Checkpoints(self.folder / UNFINISHED / kind / key, key)

    @contextmanager
    def claim(self, kind: str, key: str) -> Iterator[bool]:
        """True for the one process that may make this entry now, False while another living process makes it.

        Look the entry up again once you have the claim.
        """
        mark(self.folder)
        with claimed(self.folder, kind, key) as mine:
            yield mine

    def note_use(self, run_folder: Path, keys: Iterable[tuple[str, str]]) -> None:
        """Note which entries, each a kind and a key, the run in a folder uses; `lesionbench store prune` keeps them.

        A store that cannot be written to keeps all its entries anyway.
        """
        with _unless_read_only():
            mark(self.folder)
            write_use(self.folder, run_folder, keys)

    def sweep(self) -> None:
        """Remove drafts and claims of dead processes, and checkpoints and parts of finished fits; nothing else."""
        if not is_marked(self.folder):
            return
        with _unless_read_only():
            sweep_drafts(self.folder / DRAFTS, self.folder / CLAIMS)
        for unfinished in self.folder.glob(f"{UNFINISHED}/*/*"):
            if self.read(unfinished.parent.name, unfinished.name):  # whoever made it was killed right afterwards
                shutil.rmtree(unfinished, ignore_errors=True)
        self._remove_joined_parts()

    def _remove_joined_parts(self) -> None:
        """Remove parts whose fit is made: whoever made it was killed before it did that, or another machine made it."""
        for key in self.keys(PARTS):
            fit = Entry(self._place(PARTS, key)).inputs.get("fit")
            if isinstance(fit, str) and self.has(FITS, fit):
                with _unless_read_only():
                    self.remove(PARTS, key)

    def listed(self) -> AbstractContextManager[None]:
        """A block that asks for thousands of entries; a store on another machine lists them once."""
        return nullcontext()

    def settle(self) -> None:
        """Bring what is kept elsewhere for the time being to its place; here, everything is in its place."""

    def settle_one(self, kind: str, key: str) -> None:
        """Do the same for one entry that is here."""

    def put(self, draft: Path, kind: str, key: str) -> None:
        """Rename a sealed draft to its place, unless another process has made the same entry meanwhile."""
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        failure: OSError | None = None
        for _ in range(TRIES):
            try:
                if os.path.lexists(place):
                    if is_whole(place):
                        return
                    self.set_aside(kind, key)
                draft.rename(place)
            except OSError as error:
                failure = error
            else:
                sync(place.parent)
                return
        if failure is not None and not is_whole(place):
            raise failure

    def set_aside(self, kind: str, key: str) -> None:
        """Move a damaged entry out of the way; an entry that is whole stays."""
        while not self._set_aside_alone(kind, key):
            time.sleep(WAIT)

    def _set_aside_alone(self, kind: str, key: str) -> bool:
        """Move an entry if it is damaged; False while another process does, which may have it made again meanwhile."""
        place, aside = self._place(kind, key), self.folder / DAMAGED / f"{kind}-{key[:16]}-{uuid.uuid4().hex[:8]}"
        with self.claim(DAMAGED, key) as mine:
            if mine and os.path.lexists(place) and not is_whole(place):
                aside.parent.mkdir(parents=True, exist_ok=True)
                place.rename(aside)
            return mine

    def _place(self, kind: str, key: str) -> Path:
        return self.folder / kind / key


@contextmanager
def _unless_read_only() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
