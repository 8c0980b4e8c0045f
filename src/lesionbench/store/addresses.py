"""Addresses of stores: a folder on this machine, or a URL such as `s3://bucket/path`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.store.remote import RemoteStore, cache_folder
from lesionbench.store.store import Store

if TYPE_CHECKING:
    from os import PathLike
    from typing import TypeGuard

LOCAL = ("file", "local")  # protocols that name a folder on this machine


def open_store(address: str | PathLike[str]) -> Store:
    """The store at an address; nothing is written.

    Raises SettingsError if no library can open it, OutputError if a folder holds anything else than a store.
    """
    folder = local_folder(address)
    if folder is None:
        return _remote(str(address), cache_folder())
    store = Store(folder)
    store.check()
    return store


@cache
def _remote(address: str, caches: Path) -> RemoteStore:
    """One object in a process, which keeps its connections."""
    return RemoteStore(address, caches)


def is_url(address: object) -> TypeGuard[str]:
    """Whether this is an address with a protocol, such as `s3://bucket/path`."""
    return isinstance(address, str) and "://" in address


def local_folder(address: str | PathLike[str]) -> Path | None:
    """The folder on this machine that an address names, or None when it names another machine."""
    protocol, separator, path = str(address).partition("://")
    if not separator:
        return Path(address)
    return Path(path) if protocol in LOCAL else None


def whole_address(address: str | PathLike[str]) -> str:
    """The address as it reads from any working folder."""
    folder = local_folder(address)
    return str(address) if folder is None else str(folder.absolute())
