"""The mark of a store: a file that says that a folder is a store, and in which format.

Only a folder with a mark is written to. A folder that holds anything else than a store never gets one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, Try
from lesionbench.store.drafts import write_whole_by_draft
from lesionbench.store.layout import CLAIMS, DAMAGED, DRAFTS, KEY, KINDS, MANIFEST, MARK, UNFINISHED, USES

if TYPE_CHECKING:
    from pathlib import Path

NAME, FORMAT = "lesionbench store", 1
OF_THE_SYSTEM = {"lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", ".snapshot"}  # may be in any folder
OLD_DRAFT = re.compile(r"\.[0-9a-f]{16}-\w{8}")  # as stores without a mark wrote them
ANOTHER_STORE = Try("choose another {store}")


def is_marked(folder: Path) -> bool:
    """Whether a folder is marked as a store; False if it could become one. Nothing is written.

    Raises OutputError if it holds anything else, or a store of a later format.
    """
    try:
        text = (folder / MARK).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        _refuse_others(folder)
        return False
    except NotADirectoryError:
        raise OutputError(f"a store is a folder, but {folder} is a file", ANOTHER_STORE) from None
    check_mark(folder, text)
    return True


def mark(folder: Path) -> None:
    """Mark a folder as a store if it is not marked; raises OutputError if it holds anything else."""
    if not is_marked(folder):
        write_whole_by_draft(folder / MARK, mark_text(), folder / DRAFTS)


def mark_text() -> str:
    """The mark that this version writes."""
    return json.dumps({"name": NAME, "format": FORMAT}) + "\n"


def check_mark(place: Path | str, text: str) -> None:
    """Raise OutputError unless the text of the mark in a folder, or at a URL, is that of a format we know."""
    try:
        found = json.loads(text)
        whole = found["name"] == NAME and type(found["format"]) is int
    except (ValueError, TypeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise OutputError(
            f"{place}/{MARK} is damaged: it should read {mark_text().strip()}",
            Try("restore it, or name another {store}"),
        )
    if found["format"] > FORMAT:
        raise OutputError(
            f"the store {place} has format {found['format']}, "
            f"and this version of lesionbench knows formats up to {FORMAT}",
            Try("install a later version, or choose another {store}"),
        )


def _refuse_others(folder: Path) -> None:
    """Raise OutputError unless a folder is new, empty, or a store that was made before stores were marked."""
    if not folder.exists():
        return
    strange = next((path for path in sorted(folder.iterdir()) if not _may_be_ours(path)), None)
    if strange is not None and not (folder / MARK).exists():  # else another process has just made this store
        raise OutputError(
            f"a store must be a new or empty folder, or hold nothing but a store, and {folder} holds {strange.name!r}",
            ANOTHER_STORE,
        )


def _may_be_ours(path: Path) -> bool:
    if path.name in KINDS and path.is_dir():
        entries = [one for one in path.iterdir() if not OLD_DRAFT.fullmatch(one.name)]
        named = all(KEY.fullmatch(one.name) for one in entries)
        return named and (not entries or any((one / MANIFEST).is_file() for one in entries))
    return path.name in {DAMAGED, DRAFTS, CLAIMS, USES, UNFINISHED, *OF_THE_SYSTEM}
