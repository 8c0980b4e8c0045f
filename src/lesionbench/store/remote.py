"""A store on another machine, with a cache on this one that is a store itself.

There, an entry is one object `KIND/KEY.zip`, which is there whole or not at all. Here, it is read from the cache, or
fetched into the cache and verified. A new entry is written into the cache first and then sent, so a network that fails
loses nothing: what could not be sent is sent later.
"""

from __future__ import annotations

import logging
import os
import re
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, StoreError
from lesionbench.store.digests import key_of
from lesionbench.store.drafts import new_draft
from lesionbench.store.layout import DAMAGED, DRAFTS, KINDS, MARK
from lesionbench.store.marks import ANOTHER_STORE, check_mark, mark
from lesionbench.store.packed import pack, unpack
from lesionbench.store.remote_files import RemoteFiles
from lesionbench.store.store import Store
from lesionbench.store.verifying import flaw_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.store.entry import Draft, Entry

VARIABLE = "LESIONBENCH_CACHE"  # the folder of all caches on this machine


class RemoteStore(Store):
    """The store at a URL; several processes on several machines may share it."""

    def __init__(self, address: str, caches: Path) -> None:
        """Raise SettingsError unless a library for the address is installed; nothing is asked of the server.

        caches: the folder of all caches on this machine.
        """
        self.files = RemoteFiles(address)
        self._listing: dict[str, set[str]] | None = None
        self._marked = False
        super().__init__(caches / _short_name(self.files.address))

    def check(self) -> None:
        """Raise OutputError unless the server answers, and has a store here or nothing at all. Nothing is written."""
        super().check()
        try:
            found = self.files.names("")
            text = self.files.text(MARK) if MARK in found else None
        except StoreError as error:
            raise OutputError(error.message, *error.advice) from None
        others = found - set(KINDS)
        if text is not None:
            check_mark(self.files.address, text)
        elif others:
            raise OutputError(
                "a store must be a new or empty place, or hold nothing but a store, and "
                f"{self.files.address} holds {min(others)!r}",
                ANOTHER_STORE,
            )

    def has(self, kind: str, key: str) -> bool:
        """Whether an entry is there or in the cache; its content is not looked at."""
        return super().has(kind, key) or self._is_there(kind, key)

    def glance(self, kind: str, key: str) -> Entry | None:
        """The entry, not verified in the cache; None without one, or if the server does not answer."""
        try:
            return super().glance(kind, key) or self._fetched(kind, key)
        except StoreError:
            return None

    def read(self, kind: str, key: str) -> Entry | None:
        """The entry, its checksums verified, or None when it must be made (again)."""
        return super().read(kind, key) or self._fetched(kind, key)

    def seek(self, kind: str, key: str) -> Entry | None:
        """The entry as `read` gives it, for who can make it as well; None also when the server does not answer."""
        try:
            return self.read(kind, key)
        except StoreError:
            return None

    @contextmanager
    def write(self, kind: str, key: str, inputs: object = None) -> Iterator[Draft]:
        """A draft that becomes an entry of the cache when the block ends well, and is sent then.

        What cannot be sent stays in the cache, with a warning; see `settle`.
        """
        with super().write(kind, key, inputs) as draft:
            yield draft
        self._try_to_send(kind, key)

    def remove(self, kind: str, key: str) -> None:
        """Remove an entry from the server and the cache; where the server does not answer, it stays there."""
        super().remove(kind, key)
        with suppress(StoreError):
            self.files.remove(_object(kind, key))

    def settle_one(self, kind: str, key: str) -> None:
        """Send an entry of the cache if it is not there; what cannot be sent stays in the cache, as in `write`."""
        self._try_to_send(kind, key, only_missing=True)

    def _try_to_send(self, kind: str, key: str, only_missing: bool = False) -> None:
        try:
            if not (only_missing and self.files.has(_object(kind, key))):
                self._send(kind, key)
            self.unsent = None
        except StoreError as error:
            self.unsent = error.message
            logging.getLogger("lesionbench").warning(
                "%s; what is made meanwhile is kept in %s and sent later", error.message, self.folder
            )

    @contextmanager
    def listed(self) -> Iterator[None]:
        """Answer questions in this block from one listing of each kind, for thousands of keys at a time."""
        self._listing = {}
        try:
            yield
        finally:
            self._listing = None

    def settle(self) -> None:
        """Send every entry that is in the cache and not there; raises StoreError if that fails."""
        with self.listed():
            self._remove_joined_parts()
            for kind in KINDS:
                for place in sorted((self.folder / kind).glob("[0-9a-f]*")):
                    if not self._is_there(kind, place.name) and super().read(kind, place.name):
                        self._send(kind, place.name)

    def _is_there(self, kind: str, key: str) -> bool:
        if self._listing is None:
            return self.files.has(_object(kind, key))
        if kind not in self._listing:
            self._listing[kind] = self.files.names(kind)
        return f"{key}.zip" in self._listing[kind]

    def _send(self, kind: str, key: str) -> None:
        """Send an entry of the cache, unless it is there already and whole."""
        with new_draft(self.folder / DRAFTS) as scratch:
            pack(self._place(kind, key), scratch / "packed")
            if not self._marked:
                self.files.put(MARK, self.folder / MARK)  # before the first entry
                self._marked = True
            if self.files.put(_object(kind, key), scratch / "packed") or self._download(kind, key, scratch):
                return
            damaged = self.folder / DAMAGED / f"{kind}-{key[:16]}-{uuid.uuid4().hex[:8]}.zip"
            damaged.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # somebody has removed it there
                (scratch / "fetched").rename(damaged)
            self.files.replace(_object(kind, key), scratch / "packed")

    def _fetched(self, kind: str, key: str) -> Entry | None:
        """The entry, fetched into the cache and verified; None if there is none, or only a damaged one."""
        if self._listing is not None and not self._is_there(kind, key):
            return None
        mark(self.folder)
        with new_draft(self.folder / DRAFTS) as scratch:
            entry = self._download(kind, key, scratch)
            if entry is None:
                return None
            self.put(entry, kind, key)
        return super().glance(kind, key)

    def _download(self, kind: str, key: str, scratch: Path) -> Path | None:
        """The entry in a folder of `scratch`; None if there is none, or only a damaged one, which is named."""
        for unpacked in (scratch / "once", scratch / "twice"):  # the transfer may be at fault
            if not self.files.get(_object(kind, key), scratch / "fetched"):
                return None
            if unpack(scratch / "fetched", unpacked) and flaw_of(unpacked, key) is None:
                return unpacked
        logging.getLogger("lesionbench").warning(
            "%s/%s is damaged; it is made again", self.files.address, _object(kind, key)
        )
        return None


def cache_folder() -> Path:
    """The folder of caches: $LESIONBENCH_CACHE, else one in the user's cache folder."""
    import platformdirs

    return Path(os.environ.get(VARIABLE) or Path(platformdirs.user_cache_dir("lesionbench")) / "stores")


def _short_name(address: str) -> str:
    """The name of a cache: readable, and another one for every address."""
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', address)[-40:].strip('-')}-{key_of(address)[:8]}"


def _object(kind: str, key: str) -> str:
    return f"{kind}/{key}.zip"
