"""Claims: which process makes an entry now, so that others do something else meanwhile.

A claim is a file that names its owner. It spares work and guards nothing: if two processes make one entry after all,
the content is the same and the second is dropped.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lesionbench.store.layout import CLAIMS, DRAFTS, claim_name
from lesionbench.store.owners import SILENT, Owner, beating, read_owner, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES}  # says a disk that has none

_last_touch: dict[
    Path, tuple[int, float]
] = {}  # claims of others: the last touch, and when it was first seen (monotonic)


@contextmanager
def claimed(folder: Path, kind: str, key: str) -> Iterator[bool]:
    """Inside, a claim in `folder`: True for its owner, False while another living process has it.

    A claim is taken over when its owner is dead or was silent for a minute; ask again from time to time, because that
    minute is watched from here.
    """
    path, owner = folder / CLAIMS / claim_name(kind, key), this_process()
    if not take(path, owner, folder / DRAFTS):
        yield False
        return
    try:
        with beating(path):
            yield True
    finally:
        give_up(path, owner)


def take(path: Path, owner: Owner, drafts: Path) -> bool:
    """Make the claim `path` for `owner`; False while another living process has it.

    drafts: a folder on the same disk, for what is written and what is taken out of the way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    drafts.mkdir(parents=True, exist_ok=True)
    return _place(path, owner, drafts) or (_remove_abandoned(path, drafts) and _place(path, owner, drafts))


def _place(path: Path, owner: Owner, drafts: Path) -> bool:
    """Put the claim in its place with all that it says; False if there is one."""
    draft = drafts / f"{owner.token}.json"
    try:
        draft.write_text(owner.as_text(), encoding="utf-8")
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _write_new(path, owner)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _write_new(path: Path, owner: Owner) -> bool:
    """Write the claim on a disk without links; False if there is one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(owner.as_text())
    except FileExistsError:
        return False
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise
    return True


def give_up(path: Path, owner: Owner) -> None:
    """Remove the claim if `owner` still has it."""
    with suppress(OSError):
        if _read(path)[0] == owner:
            path.unlink()


def remove_claim(path: Path, owner: Owner | None, drafts: Path) -> None:
    """Remove the claim of an owner that is dead, but not the claim that another process has made meanwhile."""
    aside = drafts / f"{this_process().token}.json"
    with suppress(FileNotFoundError):  # another process was quicker
        path.rename(aside)
        if _read(aside)[0] != owner:
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink()


def is_living(path: Path) -> bool:
    """Whether there is a claim whose owner is not known to be dead."""
    try:
        owner, _ = _read(path)
    except OSError:
        return False
    return owner is None or not owner.is_dead


def _read(path: Path) -> tuple[Owner | None, int]:
    """The owner, and when it last touched the claim; network disks give the latest only of a file that is opened."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return read_owner(file.read(100_000)), os.fstat(file.fileno()).st_mtime_ns


def _remove_abandoned(path: Path, drafts: Path) -> bool:
    """Remove a claim whose owner is dead or was silent for a minute; False when it lives."""
    try:
        owner, touch = _read(path)
    except FileNotFoundError:  # given up in this moment
        return True
    if not (_is_silent(path, touch) or (owner is not None and owner.is_dead)):
        return False
    remove_claim(path, owner, drafts)
    return True


def _is_silent(path: Path, touch: int) -> bool:
    """Whether the claim was not touched for a minute in which this process looked."""
    now = time.monotonic()
    seen, since = _last_touch.get(path, (None, now))
    if seen != touch:
        _last_touch[path] = (touch, now)
        return False
    return now - since > SILENT
