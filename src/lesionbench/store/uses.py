"""Which run uses which entries, as the runs themselves noted it."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, Try
from lesionbench.store.digests import key_of
from lesionbench.store.drafts import write_whole_by_draft
from lesionbench.store.layout import DRAFTS, USES

if TYPE_CHECKING:
    from collections.abc import Iterable

EntryName = tuple[str, str]  # the kind of an entry, and its key


@dataclass(frozen=True)
class Use:
    """The entries that a run uses, or that came from an archive; `note` is the file that says so."""

    folder: Path  # of the run, or the archive
    entries: frozenset[EntryName]
    note: Path
    is_archive: bool = False

    @property
    def is_there(self) -> bool:
        """Whether the run's folder is where it was."""
        return self.folder.is_dir()


def write_use(store: Path, run_folder: Path, entries: Iterable[EntryName], *, archive: bool = False) -> None:
    """Note which entries of the store in a folder a run uses, in place of what it noted before.

    archive: the entries came from this file instead, and are kept although no run has noted yet that it uses them.
    """
    store, noted = store.absolute(), _noted_folder(store.absolute(), run_folder.absolute())
    keys: dict[str, list[str]] = {}
    for kind, key in sorted(set(entries)):
        keys.setdefault(kind, []).append(key)
    text = json.dumps({"folder": noted, "uses": keys} | ({"archive": True} if archive else {}))
    write_whole_by_draft(store / USES / f"{_note_name(noted)}.json", text, store / DRAFTS)


def _note_name(noted: str) -> str:
    """The name of a run's note: folders of two machines may have one name, and each has a note of its own."""
    return key_of([noted, socket.gethostname()] if os.path.isabs(noted) else noted)[:16]  # noqa: PTH117  # it is text


def _noted_folder(store: Path, folder: Path) -> str:
    """A run's folder as a text; relative if the store is inside, because then both are moved together."""
    return os.path.relpath(folder, store) if store.is_relative_to(folder) else str(folder)


def read_uses(store: Path) -> list[Use]:
    """What every run uses that noted it, by folder; raises OutputError if a note is damaged."""
    uses = []
    for note in sorted((store / USES).glob("*.json")):
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
            entries = frozenset((kind, str(key)) for kind, keys in noted["uses"].items() for key in keys)
            folder = Path(os.path.normpath(store.absolute() / noted["folder"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise OutputError(
                f"{note} is damaged, so it is not known which entries a run uses",
                Try("remove that file, and run the experiments of this store again to note it"),
            ) from None
        uses.append(Use(folder, entries, note, noted.get("archive") is True))
    return sorted(uses, key=lambda use: use.folder)


def use_of(store: Path, run_folder: Path) -> Use:
    """What the run in a folder uses; raises OutputError if it has not noted that."""
    uses = read_uses(store)
    folder = Path(os.path.normpath(run_folder.absolute()))
    found = [use for use in uses if use.folder == folder]
    if not found:
        known = ", ".join(str(use.folder) for use in uses) or "no run has"
        raise OutputError(
            f"the run in {run_folder} has not noted what it uses in {store} (noted: {known}); run it again"
        )
    return Use(folder, frozenset().union(*(use.entries for use in found)), found[0].note)  # one note a machine
