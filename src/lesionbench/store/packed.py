"""An entry as one zip file, in which it travels between machines."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FAST = 1  # the level of compression: images and tables shrink, and packing is no slower than most networks


def pack(entry: Path, into: Path) -> None:
    """Write all files and folders of an entry into a zip file, small ones first."""
    folders = sorted(path for path in entry.rglob("*") if path.is_dir())
    files = sorted((path for path in entry.rglob("*") if path.is_file()), key=lambda path: (path.stat().st_size, path))
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST) as packed:
        for path in folders:
            packed.writestr(zipfile.ZipInfo(f"{path.relative_to(entry).as_posix()}/"), b"")
        for path in files:
            name = zipfile.ZipInfo(path.relative_to(entry).as_posix())  # without the time: it says nothing
            name.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, packed.open(name, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)


def unpack(packed: Path, into: Path) -> bool:
    """Unpack an entry into an empty folder; False if the file is damaged, which leaves what could be read."""
    try:
        with zipfile.ZipFile(packed) as file:
            file.extractall(into)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error):
        return False
    return True
