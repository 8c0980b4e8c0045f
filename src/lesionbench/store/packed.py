"""An entry as one zip file, in which it travels between machines."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

A_PIECE = 2**20  # bytes that are copied at a time
FAST = 1  # the level of compression: images and tables shrink, and packing is no slower than most networks


def pack(entry: Path, into: Path) -> None:
    """Write all files and folders of an entry into a zip file."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST) as packed:
        add_entry(packed, entry)


def add_entry(packed: zipfile.ZipFile, entry: Path, prefix: str = "") -> None:
    """Add all files and folders of an entry, without their times, under names that begin with `prefix`."""
    for path in sorted(entry.rglob("*")):
        name = f"{prefix}{path.relative_to(entry).as_posix()}"
        if path.is_dir():
            packed.writestr(zipfile.ZipInfo(f"{name}/"), b"")
            continue
        with path.open("rb") as source, packed.open(name, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, A_PIECE)


def unpack(packed: Path, into: Path) -> bool:
    """Unpack an entry into an empty folder; False if the file is damaged, which leaves what could be read."""
    try:
        with zipfile.ZipFile(packed) as file:
            file.extractall(into)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error):
        return False
    return True
