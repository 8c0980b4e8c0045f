"""The output folder of an experiment: its settings, its lock and its predictions."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import tomli_w
from pydantic import ValidationError

from lesionbench import __version__
from lesionbench.errors import ANOTHER_OUT, OutputError, SettingsError, Try
from lesionbench.experiment.bench import LOGS
from lesionbench.experiment.settings import (
    JUDGING,
    OWN_PLUGINS,
    RESOLVED,
    Experiment,
    check_baseline,
    parse_toml,
    validated,
)
from lesionbench.given_files import path_problem, reason
from lesionbench.plugins import OWN, Plugins
from lesionbench.spelling import what_is_wrong
from lesionbench.store.addresses import local_folder, open_store, whole_address
from lesionbench.store.digests import file_digest, key_of
from lesionbench.store.whole_files import write_derived, write_whole

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # Windows: nothing is locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lesionbench.experiment.grid import Cell, PoolJob
    from lesionbench.experiment.keys import Seeds
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.store.entry import Entry
    from lesionbench.store.store import Store

SETTINGS = "experiment.toml"
LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # of disks that lock nothing
# What a run notes of itself: the fields of RESOLVED and the types of their values.
RESOLVED_TYPES = {
    "lesionbench": str,
    "sources": str,
    "split": str,
    "folds": int,
    "groups": str,
    "classes": list,
    "positive_class": str,
    "images": dict,
    "shape": list,
    "device": str,
    "precision": str,
    "notes": list,
    "controls": list,
    "digest": str,
    "judging_digest": str,
}
DIGESTS = ("digest", "judging_digest")
PLACES = ("data", "store")  # folders that may be moved
RESTORE = Try("restore the file, or name another {out} folder")
PREDICTIONS_FILE = "predictions.csv"  # in an entry of the store
DATA = "data"  # the images of an experiment that was given arrays; see builtin/arrays.py


def check_output(out: Path, experiment: Experiment) -> dict[str, Any]:
    """What an earlier run of this experiment resolved, from `out`/experiment.toml (empty if there was none).

    Raises OutputError when the folder holds anything else, or cannot be written.
    """
    parent = refuse_file(out)
    if not os.access(parent, os.W_OK):
        raise OutputError(f"the output folder must be writable, but {parent} is not", ANOTHER_OUT)
    ours = {"store", LOCK, *([DATA] if experiment.data == out / DATA else [])}
    if not out.exists() or all(entry.name in ours or entry.name.startswith(f".{DATA}-") for entry in out.iterdir()):
        return {}
    if not (out / SETTINGS).exists():
        raise OutputError(
            f"the output folder must be new or hold this experiment, but {out} holds other files",
            ANOTHER_OUT,
        )
    earlier, resolved = read_edited(out)  # the settings that a run is judged by may change
    changed = [
        f"{key} is {_shown(getattr(earlier, key))} there and {_shown(getattr(experiment, key))} here"
        for key in Experiment.model_fields
        if key not in ("data", *JUDGING) and getattr(earlier, key) != getattr(experiment, key)
    ]
    if changed:
        raise OutputError(
            f"{out} holds another experiment ({'; '.join(changed)})",
            Try("choose another {out} (add {store} to reuse what was fitted there)", store=out / "store"),
        )
    return resolved


def refuse_file(folder: Path, advice: Try = ANOTHER_OUT) -> Path:
    """The folder, or the nearest one above it that exists; raises OutputError when no folder can be made there."""
    wrong = path_problem(folder)
    if wrong:
        raise OutputError(wrong, advice)
    try:
        nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    except (OSError, ValueError) as error:  # a name that is too long, or that holds a zero byte
        raise OutputError(f"the output folder cannot be called {str(folder)!r:.80} ({reason(error)})", advice) from None
    if not nearest.is_dir():
        raise OutputError(f"the output must be a folder, but {nearest} is a file", advice)
    return nearest


def try_to_make(folder: Path, advice: Try = ANOTHER_OUT) -> None:
    """Raise OutputError unless a folder is there or can be made; to be sure, one is made and removed again."""
    nearest = refuse_file(folder, advice)
    if nearest == folder:  # a store that is only read may be one that cannot be written
        return
    try:
        Path(tempfile.mkdtemp(prefix=".lesionbench-", dir=nearest)).rmdir()
    except OSError as error:
        raise OutputError(f"nothing can be written in {nearest} ({reason(error)})", advice) from None


def refuse_unwritable(out: Path, names: Iterable[str]) -> None:
    """Raise OutputError where one of these files could not be written into the run's folder."""
    for name in names:
        path = out / name
        folder = path.parent if os.path.lexists(path.parent) else out
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise OutputError(f"{path} must be a file that can be written, and it cannot", RESTORE)


def store_address(out: Path, resolved: Mapping[str, Any], given: str | None = None) -> str:
    """The store of the run in `out`: the address that was given, else the one its run noted, else `out`/store.

    Raises OutputError when a file stands where the given folder should be.
    """
    if given is None:
        return str(resolved.get("store", out / "store"))
    folder = local_folder(given)
    if folder is not None:
        refuse_file(folder, Try("choose another {store}"))
    return given


def named_store(run: Path | None, address: str | None, *, must_exist: bool = True) -> Store:
    """The store in the folder that was given, else that of a run.

    Raises SettingsError unless one of them was given and the store is a folder, OutputError if there is no store.
    """
    if run is not None and address is not None:
        raise SettingsError(f"the store of {run} and {address} were named", Try("name a run or {store}, not both"))
    if run is None and address is None:
        raise SettingsError("the store must be named", Try("name the folder of a run, or {store}", store="DIR"))
    given = store_address(run, read_settings(run)[1], address) if run is not None else address
    folder = local_folder(str(given))
    if folder is None:
        cache = open_store(str(given)).folder
        raise SettingsError(
            f"this works on a store in a folder, not on {given}", Try("for its cache here: {store}", store=cache)
        )
    if must_exist and not folder.is_dir():
        raise OutputError(f"there is no store in {folder}", Try("name the folder of a run, or another {store}"))
    return open_store(folder)


def refuse_inside(root: Path | None, *folders: Path) -> None:
    """Raise OutputError if an output folder is inside the folder of images: the next run would read its own output."""
    for folder in folders:
        if root is not None and folder.resolve().is_relative_to(root.resolve()):
            raise OutputError(
                f"an output folder must be outside the images in {root}, but {folder} is inside",
                ANOTHER_OUT,
            )


@contextmanager
def locked(out: Path, *, shared: bool = False) -> Iterator[bool]:
    """Lock `out` for a run, or `shared` with others that share it; raises OutputError where the lock cannot be had.

    `run` and `jobs` have a folder to themselves; any number of `work` and `leaderboard` share it.
    Yields False on a disk without locks, where others may write into `out` as well.
    """
    out.mkdir(parents=True, exist_ok=True)
    has_locks = fcntl is not None
    with (out / LOCK).open("a") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                advice = [] if shared else [Try("or choose another {out}")]
                raise OutputError(
                    f"another lesionbench (run, jobs or work) is busy in {out}; wait until it ends", *advice
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                has_locks = False
        yield has_locks


def _shown(value: object) -> str:
    return ",".join(str(part) for part in value) or "nothing" if isinstance(value, tuple) else str(value)


def read_settings(out: Path) -> tuple[Experiment, dict[str, Any]]:
    """The settings of the experiment in `out` and what its run resolved; raises OutputError if there is none."""
    experiment, resolved = read_edited(out)
    judging = {name: getattr(experiment, name) for name in JUDGING}
    if key_of(judging) != resolved["judging_digest"]:
        names = " ".join(f"{{{name}}}" for name in JUDGING)
        raise OutputError(
            f"in {out / SETTINGS}, {', '.join(JUDGING)} are not those that the run was judged by",
            Try(f"to judge by them, type: lesionbench leaderboard {shlex.quote(str(out))} {names}", **judging),
        )
    return experiment, resolved


def read_edited(out: Path) -> tuple[Experiment, dict[str, Any]]:
    """As `read_settings`, but the settings that a run is judged by may have been edited in the file."""
    path = out / SETTINGS
    try:
        noted = parse_toml(path)
        resolved = noted.pop(RESOLVED)
        wrong = [name for name, kind in RESOLVED_TYPES.items() if not isinstance(dict(resolved).get(name), kind)]
        if wrong or not isinstance(resolved.get("store", ""), str):
            raise ValueError(f"[{RESOLVED}] has no usable {', '.join(wrong) or 'store'}")
        if _digest(noted, resolved) != resolved["digest"]:
            raise ValueError("it was edited or damaged since then")
        if "data" in noted:
            noted["data"] = out / noted["data"]
        return Experiment.model_validate(noted), resolved
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(
            f"{out} holds no experiment: there is no {SETTINGS} in it", Try("give the {out} folder of a run")
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is not what a run writes ({_first_line(error)})", RESTORE) from None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {what_is_wrong(one)}" for one in error.errors()[:3])
    return reason(error)


def _digest(settings: Mapping[str, Any], resolved: Mapping[str, Any]) -> str:
    """A digest of what experiment.toml says, without what may change: how it is judged, and where folders are."""
    lasting = {name: value for name, value in settings.items() if name not in (*JUDGING, *PLACES)}
    noted = {name: value for name, value in resolved.items() if name not in (*DIGESTS, *PLACES)}
    return key_of([lasting, noted])


def write_settings(out: Path, prepared: Prepared, plugins: Plugins) -> None:
    """Write experiment.toml: the settings, which can be run again, and what was resolved from them."""
    settings = prepared.experiment.model_dump(mode="json", exclude_none=True)
    if prepared.data is not None:
        inside = prepared.data.is_relative_to(out.absolute())  # then the folder can be moved
        settings["data"] = str(prepared.data.relative_to(out.absolute()) if inside else prepared.data)
    about = prepared.about
    resolved = {
        "lesionbench": __version__,
        "sources": prepared.sources,
        "split": about.split,
        "folds": about.folds,
        "groups": about.groups,
        "classes": list(about.classes),
        "positive_class": about.positive_class,
        "images": about.sizes,
        "shape": list(about.shape),
        "device": prepared.device,
        "precision": prepared.precision,
        "notes": list(about.notes),
        "controls": list(prepared.controls),
    }
    if plugins.own:
        resolved[OWN_PLUGINS] = sorted(found.name for found in plugins.found.values() if found.package == OWN)
    if prepared.store != whole_address(out / "store"):
        resolved["store"] = prepared.store
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / SETTINGS, settings_text(settings, resolved))


def settings_text(settings: Mapping[str, Any], resolved: Mapping[str, Any]) -> str:
    """The text of experiment.toml, with digests by which an edit or a damage is noticed."""
    judging = {name: settings[name] for name in JUDGING}
    digests = {"digest": _digest(settings, resolved), "judging_digest": key_of(judging)}
    return tomli_w.dumps({**settings, RESOLVED: {**resolved, **digests}})


def judged_otherwise(out: Path, changes: Mapping[str, Any]) -> Experiment:
    """The experiment in `out` with other settings to judge it by; raises SettingsError if one is wrong."""
    experiment, _ = read_edited(out)
    judged = validated({**experiment.model_dump(exclude_none=True), **changes})
    check_baseline(judged)
    return judged


def note_judging(out: Path, judged: Experiment) -> None:
    """Write the settings that a run is judged by into its experiment.toml."""
    noted = parse_toml(out / SETTINGS)
    resolved = noted.pop(RESOLVED)
    write_whole(out / SETTINGS, settings_text(noted | {name: getattr(judged, name) for name in JUDGING}, resolved))


def predictions_path(out: Path, cell: Cell) -> Path:
    """The file of a cell's predictions in the output folder."""
    return out / "predictions" / f"{cell.name}.csv"


class Made(Protocol):
    """Who knows where the results of an experiment are in the store: a bench, or a list of jobs."""

    @property
    def seeds(self) -> Seeds: ...
    def predictions(self, cell: Cell) -> Entry | None: ...  # verified
    def classification(self, cell: Cell) -> Entry | None: ...  # not verified
    def fit(self, job: PoolJob) -> Entry | None: ...  # not verified


@dataclass
class Exports:
    """Copies finished predictions, and the notes of their fits, from the store into the output folder."""

    out: Path
    made: Made

    @cached_property
    def _logs(self) -> set[str]:
        """The names of the tasks whose notes are in the output folder."""
        folder = self.out / LOGS
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def digest(self, cell: Cell) -> str | None:
        """The SHA-256 of a cell's predictions, which are in the output folder then; None while the cell is not done.

        A file that is as the store noted it need not be read from the store again.
        """
        entry, path = self.made.classification(cell), predictions_path(self.out, cell)
        digest = None if entry is None else entry.digest(PREDICTIONS_FILE)
        if entry is None or digest is None or not _has_digest(path, digest):
            entry = self.made.predictions(cell)
            if entry is None:
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            write_derived(path, entry.text(PREDICTIONS_FILE))
            digest = file_digest(path)
        if cell.name not in self._logs:
            self._restore_log(cell.name, entry)
        for job in cell.needs:
            if job.name not in self._logs:
                self._restore_log(job.name, self.made.fit(job))
        return digest

    def _restore_log(self, task: str, entry: Entry | None) -> None:
        self._logs.add(task)
        folder = self.out / LOGS / task
        if entry is not None and not folder.exists() and entry.has(LOGS):
            shutil.copytree(entry.folder(LOGS), folder)


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return file_digest(path) == digest
    except OSError:
        return False
