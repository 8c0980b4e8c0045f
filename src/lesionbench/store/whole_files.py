"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # Windows: nothing is locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sync(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk now."""
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
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def write_derived(path: Path, text: str) -> None:
    """As `write_whole`, for a file that can be made again and whose content is verified before it is used.

    Not synced, which takes most of the time for thousands of small files: if the machine loses power, a file of the
    last seconds may be empty.
    """
    with whole_file(path, synced=False) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


@contextmanager
def whole_file(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """The path of a draft that becomes the file when the block ends well, and is removed when it does not.

    The draft of a process that was killed is written over by the next one that writes the same file.
    synced: whether the content is on the disk before the file gets its name.
    """
    draft = path.with_name(f".{path.name}.part")
    with _locked(draft) as mine:
        if not mine:  # another process is writing the same file
            draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            yield draft
            if synced:
                sync(draft)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def _locked(draft: Path) -> Iterator[bool]:
    """Whether this process alone has the draft while the block runs."""
    if fcntl is None:
        yield False
        return
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield _lock(draft, descriptor) and _is_at(draft, descriptor)
    finally:
        os.close(descriptor)


def _lock(draft: Path, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another process has it
        return False
    except OSError:  # this disk has no locks, so nobody will ever use this draft
        draft.unlink(missing_ok=True)
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a file is still at its path; another process may have renamed it before this one locked it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
