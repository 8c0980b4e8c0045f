"""Digests: of values that have a JSON form, and of files."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
A_PIECE = 2**16  # bytes; larger ones are slower for small files and no faster for large ones


def key_of(inputs: object) -> str:
    """The SHA-256, in hex, of the canonical JSON of `inputs`."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """The SHA-256, in hex, of a file's bytes."""
    descriptor = os.open(path, READ)  # a file object takes longer to make than most files to read
    try:
        digest = hashlib.sha256()
        while piece := os.read(descriptor, A_PIECE):
            digest.update(piece)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """One SHA-256 over the relative names and the bytes of many files."""
    return key_of([[path.relative_to(root).as_posix(), file_digest(path)] for path in paths])
