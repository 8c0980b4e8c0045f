"""Drafts: folders in which entries are written before they get their place.

Beside each draft of a store lies the record of its owner. The owner removes the draft; if it dies before, a sweep does.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lesionbench.store.claims import remove_claim
from lesionbench.store.owners import TOKEN, Owner, beating, read_owner, this_process
from lesionbench.store.whole_files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A_DAY = 86_400  # seconds
SEEN = "seen.json"  # in the folder of drafts: owners of other machines, and their touch that a sweep saw first
CLAIM = re.compile(r"[a-z]+-[0-9a-f]{64}\.json")

Seen = dict[str, tuple[int, float]]  # by file: the touch (nanoseconds), and when a sweep first saw it (seconds)


@contextmanager
def new_draft(drafts: Path) -> Iterator[Path]:
    """A new, empty folder in `drafts`; when the block ends it is removed with all that is still in it."""
    owner = this_process()
    record, place = drafts / f"{owner.token}.json", drafts / owner.token
    drafts.mkdir(parents=True, exist_ok=True)
    try:
        record.write_text(owner.as_text(), encoding="utf-8")
        place.mkdir()
        with beating(record):
            yield place
    finally:
        _remove_draft(record)


@contextmanager
def draft_beside(place: Path) -> Iterator[Path]:
    """A new, empty folder beside `place`, to be renamed to it; when the block ends, what is still there is removed.

    The name of the folder says which process owns it: the next draft beside `place` removes those of dead processes.
    """
    prefix = f".{place.name}-"
    place.parent.mkdir(parents=True, exist_ok=True)
    for path in place.parent.iterdir():
        token = path.name.removeprefix(prefix)
        if token != path.name and TOKEN.fullmatch(token) and Owner(token).is_dead:
            shutil.rmtree(path, ignore_errors=True)
    draft = place.parent / f"{prefix}{this_process().token}"
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_whole_by_draft(path: Path, text: str, drafts: Path) -> None:
    """Write a text file of the store so that it is there whole or as it was before."""
    with new_draft(drafts) as place:
        draft = place / path.name
        draft.write_text(text, encoding="utf-8")
        sync(draft)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(path)


def remove_by_draft(folder: Path, drafts: Path) -> None:
    """Remove a folder of the store: moved away first, so that nobody finds half of it."""
    with new_draft(drafts) as place, suppress(FileNotFoundError):
        folder.rename(place / folder.name)


def sweep_drafts(drafts: Path, claims: Path) -> None:
    """Remove the drafts and claims of processes that are dead.

    Whether a process of another machine is dead cannot be looked up. What it left is removed when two sweeps, a day
    apart, found the same touch; setting a clock does not bring that about.
    """
    seen, now = _read_seen(drafts / SEEN), Seen()
    for record in _records(drafts, claims):
        with suppress(FileNotFoundError):  # its owner has ended in this moment
            owner = _owner_of(record)
            if not _is_left(record, owner, seen, now):
                continue
            if record.parent == claims:
                remove_claim(record, owner, drafts)
            else:
                _remove_draft(record)
    if now != seen:
        write_whole_by_draft(drafts / SEEN, json.dumps(now), drafts)


def _records(drafts: Path, claims: Path) -> list[Path]:
    """The owner records of all drafts and claims; whatever else lies there is not ours."""
    of_drafts = [path for path in sorted(drafts.glob("*.json")) if TOKEN.fullmatch(path.stem)]
    return [*of_drafts, *(path for path in sorted(claims.glob("*.json")) if CLAIM.fullmatch(path.name))]


def _owner_of(record: Path) -> Owner | None:
    """The owner of a draft, which is in its name, or of a claim."""
    in_name = Owner(record.stem) if TOKEN.fullmatch(record.stem) else None
    return in_name or read_owner(record.read_text(encoding="utf-8", errors="replace"))


def _is_left(record: Path, owner: Owner | None, seen: Seen, now: Seen) -> bool:
    """Whether the owner of a draft or claim is dead; `now` gets what the next sweep must know to say so."""
    if owner is not None and owner.is_here:
        return owner.is_dead
    name, touch = f"{record.parent.name}/{record.name}", record.stat().st_mtime_ns
    first, since = seen.get(name, (None, 0.0))
    now[name] = (touch, since if first == touch else time.time())
    return first == touch and time.time() - since > A_DAY


def _read_seen(path: Path) -> Seen:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): (int(touch), float(since)) for name, (touch, since) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _remove_draft(record: Path) -> None:
    """Remove a draft, then the record of its owner."""
    shutil.rmtree(record.with_suffix(""), ignore_errors=True)
    with suppress(OSError):
        record.unlink()
