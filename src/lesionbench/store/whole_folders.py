"""Folders that are there whole or not at all: a manifest holds the checksums of all that is in them."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from lesionbench.store.digests import file_digest
from lesionbench.store.layout import MANIFEST
from lesionbench.store.whole_files import sync

LONGEST = 2**24  # bytes; no manifest is longer
NOT_THE_FOLDER = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # the fault is not in the folder
DROPPED = {".DS_Store", "Thumbs.db", "desktop.ini"}  # by people's file managers; they change nothing


def empty_folder(parent: Path, prefix: str) -> Path:
    """A new folder whose name begins with `prefix` and is not taken yet; who may read it is up to the user's umask."""
    folder = parent / f"{prefix}{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def seal(draft: Path) -> None:
    """Write the manifest and sync every file; the folder can be renamed to its place now."""
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    manifest = {path.relative_to(draft).as_posix(): file_digest(path) for path in files}
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    for path in [*files, draft / MANIFEST, draft]:
        sync(path)


def is_whole(folder: Path) -> bool:
    """Whether a sealed folder holds the files that were written, as they were written, and nothing else."""
    return find_flaw(folder) is None


def find_flaw(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in a few words; None if it is whole.

    Raises OSError if the folder must not or cannot be read now.
    """
    try:
        return _flaw(str(folder))
    except OSError as error:
        if error.errno in NOT_THE_FOLDER:
            raise
        return f"it cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return f"{MANIFEST} cannot be read"


def _flaw(folder: str) -> str | None:
    files: dict[str, bool] = {}
    _list_files(folder, "", files)
    if not files.pop(MANIFEST, False):
        return f"{MANIFEST} is missing"
    manifest = _read_manifest(Path(folder, MANIFEST))
    for name, is_file in files.items():
        if name not in manifest or not is_file:
            return f"{name} does not belong there"
    for name, digest in manifest.items():
        if name not in files:
            return f"{name} is missing"
        path = f"{folder}/{name}"
        if file_digest(path) != digest:
            return f"{name} differs from its checksum"
        if name.endswith(".npy") and not _is_array(Path(path)):
            return f"{name} holds no array"
    return None


def _list_files(folder: str, prefix: str, found: dict[str, bool]) -> None:
    """Note the names in a folder and the folders in it, with `/` between, and whether each is a plain file."""
    with os.scandir(folder) as entries:
        for one in entries:
            if one.is_dir(follow_symlinks=False):
                _list_files(one.path, f"{prefix}{one.name}/", found)
            elif one.name not in DROPPED:
                found[prefix + one.name] = one.is_file(follow_symlinks=False)


def _read_manifest(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LONGEST:
        raise ValueError("no manifest is so long")
    manifest = json.loads(path.read_bytes())
    if not isinstance(manifest, dict):
        raise ValueError("a manifest is a table of names and checksums")
    return manifest


def _is_array(path: Path) -> bool:
    """Whether a file is as long as the array that its header describes, so that reading it takes no more memory."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, _, dtype = read(file)
            size = file.tell() + math.prod(shape) * dtype.itemsize
            return min(shape, default=0) >= 0 and not dtype.hasobject and size == path.stat().st_size
    except Exception:  # a header is read as Python source, and may hold anything
        return False
