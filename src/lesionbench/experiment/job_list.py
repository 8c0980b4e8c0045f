"""The list of an experiment's tasks for processes that know nothing of each other: `jobs` writes it, `work` reads it.

`jobs.json` holds the prepared experiment, so that nothing has to be loaded, divided or hashed again, and the store keys
of all tasks. `jobs.csv` says the same to people.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lesionbench.errors import OutputError, Try
from lesionbench.experiment.grid import Cell, PartJob, PoolJob, cells, part_jobs
from lesionbench.experiment.keys import Seeds
from lesionbench.experiment.prepare import About, Prepared
from lesionbench.experiment.settings import JUDGING, Experiment
from lesionbench.experiment.worker_check import made_with
from lesionbench.store.addresses import local_folder, open_store, whole_address
from lesionbench.store.digests import key_of
from lesionbench.store.layout import FITS, PARTS, POOLS, PREDICTIONS
from lesionbench.store.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.experiment.bench import Bench
    from lesionbench.experiment.tasks import Task
    from lesionbench.store.entry import Entry
    from lesionbench.store.store import Store

LIST = "jobs.json"
DIGEST = "digest"  # of all the rest: a key that was edited would lead elsewhere in the store
NOTED = ("keys", "fit_keys", "made_with")


@dataclass(frozen=True)
class JobList:
    """The tasks of an experiment in the order in which they can be done, and what each is kept under in the store."""

    prepared: Prepared
    made: float  # seconds since the epoch; a fit that is older came from the store
    keys: dict[str, str]  # by the names of the tasks: of a part of a fit, of a pool or of predictions
    fit_keys: dict[str, str]  # by the names of the pools
    made_with: dict[str, str]  # the versions and the code that the tasks are to run with

    @classmethod
    def of(cls, bench: Bench) -> JobList:
        """The list of all tasks of an experiment, finished or not."""
        tasks = all_tasks(bench.prepared)
        keys = {task.name: bench.keys.predictions(task) for task in tasks if isinstance(task, Cell)}
        keys |= {task.name: bench.keys.part(task) for task in tasks if isinstance(task, PartJob)}
        pools = [task for task in tasks if isinstance(task, PoolJob)]
        keys |= {job.name: bench.keys.pool(job) for job in pools}
        fit_keys = {job.name: bench.keys.fit(job) for job in pools}
        expected = made_with(bench.prepared.experiment, bench.plugins)
        return cls(bench.prepared, time.time(), keys, fit_keys, expected)

    @cached_property
    def tasks(self) -> list[Task]:
        """All tasks: pools first, link by link, each after the parts of its fit, and then the cells."""
        return all_tasks(self.prepared)

    @cached_property
    def store(self) -> Store:
        """The store that holds what was made."""
        return open_store(self.prepared.store)

    @cached_property
    def seeds(self) -> Seeds:
        """The seeds of fits and samples."""
        return Seeds(self.prepared.experiment.seed)

    def place(self, task: Task) -> tuple[str, str]:
        """The kind and the key of the entry that a task makes."""
        kind = PREDICTIONS if isinstance(task, Cell) else POOLS if isinstance(task, PoolJob) else PARTS
        return kind, self.keys[task.name]

    def is_done(self, task: Task) -> bool:
        """Whether what a task makes is in the store; predictions are verified, the others are when they are read.

        A part of a fit is done, too, when the fit is.
        """
        if isinstance(task, Cell):
            return self.store.read(*self.place(task)) is not None
        if isinstance(task, PoolJob) or self.store.has(*self.place(task)):
            return self.store.has(*self.place(task))
        return self.store.has(FITS, self.fit_keys[task.whole.name]) or self.is_done(task.whole)

    def is_made(self, task: Task) -> bool:
        """Whether what a task makes is there and whole, or the fit that it is a part of.

        On this machine, if the store does not answer.
        """
        if self.store.seek(*self.place(task)) is not None:
            return True
        return isinstance(task, PartJob) and self.store.seek(FITS, self.fit_keys[task.whole.name]) is not None

    def predictions(self, cell: Cell) -> Entry | None:
        """The entry of a cell's predictions, verified; None while the cell is not done."""
        return self.store.read(*self.place(cell))

    def classification(self, cell: Cell) -> Entry | None:
        """The entry of a cell's predictions, not verified: for its record and its notes."""
        return self.store.glance(*self.place(cell))

    def fit(self, job: PoolJob) -> Entry | None:
        """The entry of an augmenter's fit, not verified: for its record and its notes."""
        return self.store.glance(FITS, self.fit_keys[job.name])


def all_tasks(prepared: Prepared) -> list[Task]:
    """Every pool that a cell needs, the links of a chain in their order, after the parts of its fit, and every cell."""
    grid = cells(prepared.experiment, prepared.about.folds)
    tasks: list[Task] = []
    for job in dict.fromkeys(job for cell in grid for job in cell.needs):
        tasks += [*part_jobs(job, prepared.parts), job]
    return [*tasks, *grid]


def write_list(out: Path, jobs: JobList) -> None:
    """Write jobs.json; folders inside `out` are noted relative to it, so that `out` can be moved."""
    prepared, root = jobs.prepared, out.absolute()
    store = local_folder(prepared.store)
    noted = {
        **{name: value for name, value in asdict(prepared).items() if name != "experiment"},
        "experiment": prepared.experiment.model_dump(mode="json", exclude_none=True),
        "data": None if prepared.data is None else _relative(prepared.data, root),
        "store": prepared.store if store is None else _relative(store, root),
    }
    written = {"prepared": noted, "made": jobs.made, **{name: getattr(jobs, name) for name in NOTED}}
    write_whole(out / LIST, json.dumps({DIGEST: key_of(written), **written}))


def _relative(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)


def read_list(out: Path) -> JobList:
    """The list that `jobs` wrote; raises OutputError if there is none or if it cannot be read."""
    try:
        noted = json.loads((out / LIST).read_text(encoding="utf-8"))
        if noted.pop(DIGEST) != key_of(noted):
            raise ValueError("it was edited or damaged")
        prepared = _prepared(noted["prepared"], out.absolute())
        parts = (dict(noted[name]) for name in NOTED)
        jobs = JobList(prepared, float(noted["made"]), *parts)
        if any(task.name not in jobs.keys for task in jobs.tasks):
            raise ValueError("a task is missing")
    except FileNotFoundError:
        raise OutputError(
            f"{out} holds no list of jobs: there is no {LIST} in it",
            Try("write one with: lesionbench jobs {out}, and the options of the experiment", out=out),
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{out / LIST} is not what `lesionbench jobs` wrote ({type(error).__name__}); write it again: "
            f"lesionbench jobs {out}/experiment.toml"
        ) from None
    return jobs


def _prepared(noted: dict[str, Any], root: Path) -> Prepared:
    about, data, store = noted["about"], noted["data"], noted["store"]
    changed = {
        "experiment": Experiment.model_validate(noted["experiment"]),
        "data": None if data is None else root / data,
        "store": store if local_folder(store) is None else whole_address(root / store),
        "train_digests": tuple(noted["train_digests"]),
        "controls": tuple(noted["controls"]),
        "parts": {augmenter: tuple(names) for augmenter, names in noted["parts"].items()},
        "about": About(
            **{
                **about,
                **{name: tuple(about[name]) for name in ("classes", "shape", "notes")},
                "tested": tuple((count, groups) for count, groups in about["tested"]),
            }
        ),
    }
    return Prepared(**{**noted, **changed})


def has_list(out: Path) -> bool:
    """Whether `jobs` wrote a list into this folder."""
    return (out / LIST).exists()


def same_experiment(one: Experiment, other: Experiment) -> bool:
    """Whether two experiments have the same tasks; how they are judged does not count."""
    apart = {"data", *JUDGING}
    return one.model_dump(exclude=apart) == other.model_dump(exclude=apart)
