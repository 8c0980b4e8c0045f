"""Finding pickle files, because reading one may run any code."""

from __future__ import annotations

import io
import pickletools
import zipfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = {".pkl", ".pickle", ".pt", ".pth", ".joblib"}


def pickles_in(folder: Path) -> list[str]:
    """The files in a folder that are pickles, contain one, or have a name such as weights.pkl."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        path.relative_to(folder).as_posix() for path in files if _is_named_so(path.name) or _holds(path.read_bytes())
    ]


def _is_named_so(name: str) -> bool:
    return any(name.endswith(suffix) for suffix in SUFFIXES)


def _holds(data: bytes) -> bool:
    if data.startswith(b"\x93NUMPY"):
        return _has_objects(data)
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(_is_named_so(name) or _holds(archive.read(name)) for name in archive.namelist())
    return data.startswith(b"\x80") and _parses(data)


def _has_objects(data: bytes) -> bool:
    try:
        np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError:
        return True
    return False


def _parses(data: bytes) -> bool:
    """Whether all the bytes parse as a pickle; a safetensors file may begin with the same byte."""
    try:
        for _ in pickletools.genops(data):
            pass
    except Exception:  # any error means that this is not a pickle
        return False
    return True
