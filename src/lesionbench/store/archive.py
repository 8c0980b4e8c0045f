"""Entries of a store in one zip file, to take them to another machine.

The file holds the mark of the store and every file of every entry under `KIND/KEY/`, with its manifest; no pickle. What
is read is not trusted: names, sizes and checksums are checked before an entry gets its place.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, Try
from lesionbench.store.drafts import new_draft
from lesionbench.store.inventory import entries
from lesionbench.store.layout import CODE, DRAFTS, KEY, KINDS, MARK
from lesionbench.store.marks import check_mark, mark, mark_text
from lesionbench.store.packed import A_PIECE, add_entry
from lesionbench.store.uses import write_use
from lesionbench.store.verifying import Flaw, flaw_of
from lesionbench.store.whole_files import sync, whole_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from lesionbench.store.store import Store
    from lesionbench.store.uses import EntryName

MOST_TIMES = 200  # an archive unpacks to at most so many times its size
ANY_SIZE = 2**26  # bytes that any archive may unpack to
LONGEST_MARK = 1000  # bytes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


@dataclass(frozen=True)
class Exported:
    """What was written into an archive, and the damaged entries that were left out."""

    count: int
    size: int
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True)
class Imported:
    """How many entries of an archive are new in the store, how many were there; names of those that are damaged."""

    new: int
    there: int
    damaged: tuple[str, ...]


def export_entries(store: Store, archive: Path, names: Collection[EntryName] | None = None) -> Exported:
    """Write entries into a new archive, byte for byte the same for the same entries; damaged ones are left out.

    names: which entries, beside those that tell what code was used; None for all of them.
    Raises OutputError if the archive is there already or no entry is to be written.
    """
    found = [item for kind in KINDS for item in entries(store.folder, kind)]
    items = [item for item in found if names is None or item.name in names or item.name[0] == CODE]
    if archive.exists():
        raise OutputError(f"an archive must be a new file, but {archive} is there", Try("name another file"))
    if not archive.absolute().parent.is_dir():
        raise OutputError(f"the folder of an archive must be there, but {archive.parent} is not", Try("make it first"))
    if not items:
        raise OutputError(f"there is nothing to export in {store.folder}")
    flaws, done = [], []
    with whole_file(archive) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(zipfile.ZipInfo(MARK), mark_text())
        for item in items:
            folder = store.folder.joinpath(*item.name)
            what = flaw_of(folder, item.name[1]) or _odd_name(folder)
            if what is not None:
                flaws.append(Flaw(item, what))
                continue
            done.append(item)
            add_entry(zipped, folder, "/".join([*item.name, ""]))
    return Exported(len(done), sum(item.size for item in done), tuple(flaws))


def _odd_name(folder: Path) -> str | None:
    """What is said of an entry with a file whose name would not be the same on every system; None for most."""
    odd = next((path for path in folder.rglob("*") if not _is_plain(path.name)), None)
    return None if odd is None else f"the name {odd.name!a} cannot be taken to every system"


def import_archive(store: Store, archive: Path) -> Imported:
    """Read the entries of an archive into a store; an entry that is there and whole stays as it is.

    It is noted that they came from there, so that pruning keeps them until the archive is forgotten.
    Raises OutputError, before anything is written, if the file is no archive of ours, if a name in it leads elsewhere,
    or if it would unpack to more than it can honestly hold or than the disk has room for.
    """
    try:
        if archive.exists() and not archive.is_file():  # a named pipe would be waited for
            raise _refusal(archive, "it is no file")
        with zipfile.ZipFile(archive) as zipped:
            by_entry = _checked(zipped, archive, store.folder)
            mark(store.folder)
            results = [_import(store, zipped, name, members) for name, members in by_entry.items()]
    except FileNotFoundError:
        raise OutputError(
            f"there is no file {archive}", Try("name an archive that `lesionbench store export` wrote")
        ) from None
    except UNREADABLE as error:
        raise _refusal(archive, str(error)) from None
    damaged = [f"{kind}/{key}" for (kind, key), how in zip(by_entry, results, strict=True) if how == "damaged"]
    write_use(
        store.folder,
        archive,
        [one for one, how in zip(by_entry, results, strict=True) if how != "damaged"],
        archive=True,
    )
    return Imported(results.count("new"), results.count("there"), tuple(damaged))


def _refusal(archive: Path, why: str) -> OutputError:
    return OutputError(f"{archive} is not an archive that `lesionbench store export` wrote ({why})")


def _checked(zipped: zipfile.ZipFile, archive: Path, folder: Path) -> dict[EntryName, list[zipfile.ZipInfo]]:
    """The members of an archive by entry; raises OutputError if anything about them is not as we write it."""
    members = zipped.infolist()
    if not members or members[0].filename != MARK or members[0].file_size > LONGEST_MARK:
        raise _refusal(archive, f"it does not begin with {MARK}")
    check_mark(archive, zipped.read(members[0]).decode(errors="replace"))
    by_entry: dict[EntryName, list[zipfile.ZipInfo]] = {}
    for member in members[1:]:
        kind, _, rest = member.filename.partition("/")
        key, _, path = rest.partition("/")
        if not (kind in KINDS and KEY.fullmatch(key) and _is_plain(path.removesuffix("/")) and _is_usual(member)):
            raise _refusal(archive, f"it holds {member.filename!r:.100}")
        by_entry.setdefault((kind, key), []).append(member)
    names = {member.filename.casefold() for member in members}
    if len(names) < len(members):
        raise _refusal(archive, "two of its files have one name")
    if any(str(above) in names for name in names for above in PurePosixPath(name).parents):
        raise _refusal(archive, "one of its files is also a folder")
    _refuse_bomb(members, archive, folder)
    return by_entry


def _is_plain(path: str) -> bool:
    """Whether a path stays inside the folder that it is relative to, on any system."""
    parts = path.split("/")
    if any("\ud800" <= letter <= "\udfff" for letter in path):  # a name that is not UTF-8
        return False
    return all(part.strip(". ") and not set(part) & set("\\:\0") for part in parts)


def _is_usual(member: zipfile.ZipInfo) -> bool:
    """Whether it is a plain file that is packed as we pack."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    return (
        (member.is_dir() or kind in (0, stat.S_IFREG)) and not member.flag_bits & 1 and member.compress_type in METHODS
    )


def _refuse_bomb(members: list[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    """Raise OutputError if the files of an archive share bytes, or unpack to more than there can be or is room for."""
    ends = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < ends:
            raise _refusal(archive, "its files overlap")
        ends = member.header_offset + member.compress_size
    size = sum(member.file_size for member in members)
    if size > ANY_SIZE + MOST_TIMES * archive.stat().st_size:
        raise _refusal(archive, f"it would unpack to {size} bytes")
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    if size > free:
        raise OutputError(f"{archive} unpacks to {size} bytes, and the disk of {folder} has {free} bytes left")


def _import(store: Store, zipped: zipfile.ZipFile, name: EntryName, members: list[zipfile.ZipInfo]) -> str:
    """Whether an entry is `new`, was `there`, or is `damaged` in the archive."""
    if store.read(*name):
        return "there"
    with new_draft(store.folder / DRAFTS) as place:
        try:
            for member in members:
                _unpack(zipped, member, place / PurePosixPath(*member.filename.split("/")[2:]))
        except UNREADABLE:
            return "damaged"
        if flaw_of(place, name[1]):
            return "damaged"
        store.put(place, *name)
    return "new"


def _unpack(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, A_PIECE)
    sync(path)
