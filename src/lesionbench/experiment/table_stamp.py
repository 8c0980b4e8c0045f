"""The stamp of a run's tables: what they were made from, what was written, and what the screen shows of them.

Tables whose predictions, settings, published values, code and libraries are the same, and that are on the disk as they
were written, need not be made again. Contents are compared, never times and sizes, which an editor or a copy may keep.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lesionbench
from lesionbench.errors import OutputError
from lesionbench.experiment.results import ended, noted_cells
from lesionbench.given_files import kind_of, read_regular
from lesionbench.store.digests import file_digest, files_digest, key_of
from lesionbench.store.whole_files import write_derived

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lesionbench.experiment.results import Results

STAMP = ".tables.json"
DIGEST = "digest"  # of everything else in the stamp
# That tables and pictures come from:
LIBRARIES = ("matplotlib", "numpy", "pandas", "pillow", "scikit-learn", "scipy", "statsmodels")


@dataclass(frozen=True)
class Stamp:
    """What the tables of a run were made from, as one digest; what was written; and what the screen shows."""

    made_from: str  # empty while they are being written
    cells: str  # one digest of what cells.csv said
    written: Mapping[str, str]  # the SHA-256 of every file, by its name in the run's folder
    shown: Mapping[str, Any]


def made_from(results: Results, published: Path) -> str:
    """One digest of everything that the tables of a run depend on.

    Every source file of lesionbench counts, to the byte: a table that is made again costs seconds, one that is wrong
    costs more.
    """
    package = Path(lesionbench.__file__).parent
    return key_of(
        {
            "experiment": results.experiment.model_dump(mode="json", exclude={"data"}),
            "resolved": dict(results.resolved),
            "cells": cells_of(results.done, results.failed),
            "published": _digest_if_there(published),
            "code": [lesionbench.__version__, files_digest(sorted(package.rglob("*.py")), package)],
            "libraries": [platform.python_version(), *map(_version, LIBRARIES)],
        }
    )


def cells_of(done: Mapping[str, str], failed: Collection[str]) -> str:
    """One digest of which cells are done, with the SHA-256 of their predictions, and which failed."""
    return key_of({"done": dict(done), "failed": sorted(failed)})


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _digest_if_there(path: Path) -> str | None:
    """The SHA-256 of a file; None without one, and empty for one that cannot be read, which no stamp is written for."""
    try:
        return digest_of(path) if os.path.lexists(path) else None
    except OSError:
        return ""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file; raises OSError for anything else, which could block for ever."""
    wrong = kind_of(path.stat().st_mode)
    if wrong:
        raise OSError(errno.EINVAL, f"it is {wrong}, not a file", str(path))
    return file_digest(path)


def read_stamp(out: Path) -> Stamp | None:
    """The stamp of the tables in `out`; None when there is none, or when it is not as it was written."""
    try:
        noted = json.loads(read_regular(out / STAMP))
        digest = noted.pop(DIGEST)
        return Stamp(**noted) if digest == _digest(noted) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write_stamp(out: Path, stamp: Stamp) -> None:
    """Write the stamp; a run without one makes its tables again."""
    noted = {name: getattr(stamp, name) for name in ("made_from", "cells", "written", "shown")}
    write_derived(out / STAMP, _as_json({DIGEST: _digest(noted), **noted}))


def _digest(noted: object) -> str:
    return hashlib.sha256(_as_json(noted).encode()).hexdigest()


def _as_json(noted: object) -> str:
    """JSON in which a number that is not defined may stand, unlike in the inputs of a key."""
    return json.dumps(noted, sort_keys=True, default=lambda number: number.item())  # numpy's numbers as Python's


def refuse_changed(out: Path, name: str) -> None:
    """Raise OutputError for a table that was changed after it was written, or is older than cells.csv.

    One that no stamp knows is not checked.
    """
    stamp = read_stamp(out)
    if stamp is None or name not in stamp.written:
        return
    try:
        same = digest_of(out / name) == stamp.written[name]
    except OSError:  # reading it says why it cannot be read
        return
    wrong = "was changed after it was written" if not same else "was made of fewer or other cells than cells.csv lists"
    if not same or cells_of(*ended(noted_cells(out))) != stamp.cells:
        raise OutputError(f"{out / name} {wrong}; `lesionbench leaderboard {shlex.quote(str(out))}` makes it again")


def is_as_written(out: Path, stamp: Stamp) -> bool:
    """Whether every file that was written is there, with the content that it was written with."""
    try:
        return all(digest_of(out / name) == digest for name, digest in stamp.written.items())
    except OSError:
        return False
