"""Writing an experiment as a list of jobs, which any number of `work` processes do without a scheduler of ours."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from lesionbench.experiment.bench import read_record
from lesionbench.experiment.collect import collect
from lesionbench.experiment.environment import write_environment
from lesionbench.experiment.grid import Cell, PoolJob, needs_of
from lesionbench.experiment.job_list import JobList, write_list
from lesionbench.experiment.needs import learner, needs_of_task
from lesionbench.experiment.output import locked, write_settings
from lesionbench.experiment.session import begin, make_ready, settled
from lesionbench.experiment.tables import write_splits
from lesionbench.pipeline.leaderboard import as_csv
from lesionbench.runs.array_script import SCRIPT, SLURM_LOGS, ArrayNeeds, array_script
from lesionbench.store.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.experiment.bench import Bench
    from lesionbench.experiment.progress_log import Record
    from lesionbench.experiment.session import Place
    from lesionbench.experiment.settings import Experiment
    from lesionbench.experiment.tasks import Task
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.plugins import Plugins

JOBS = "jobs.csv"
JOB_COLUMNS = ("index", "task", "needs", "cores", "memory_gb", "gpus")
SCRIPT_DIGEST = ".array.sha256"  # of the script as it was written, to notice that it was edited
OWN_GB = 0.5  # that `work` itself needs beside its task
MARGIN = 1.5  # times the longest time and the largest memory that were measured
LEAST_MINUTES = 10


@dataclass(frozen=True)
class Written:
    """What `jobs` wrote: the list, the needs of its longest job, and whether the script was left as it was."""

    out: Path
    fits: int  # of augmenters; parts of one, and joining them, are jobs of their own
    cells: int
    done: int
    needs: ArrayNeeds
    script: Path | None  # None without one
    edited: bool  # the user's own script was kept, and `script` is another file beside it


def write_jobs(
    plugins: Plugins, experiment: Experiment, place: Place, *, array: bool, at_once: int | None = None
) -> Written:
    """Check everything that a run checks, and write an experiment as a list of jobs into `place.out`.

    array: also write a script for a SLURM job array, of which `at_once` jobs may run at the same time.
    Raises InputError before anything is written.
    """
    prepared, published = make_ready(plugins, experiment, place, None)
    with locked(place.out):
        bench = begin(plugins, prepared, place.out, published)
        with settled(bench.store):
            jobs = JobList.of(bench)
        write_settings(place.out, prepared, plugins)
        write_splits(place.out, bench)
        collect(place.out, jobs)
        write_environment(place.out, prepared, plugins)  # predictions of another are gone now
        write_list(place.out, jobs)  # and no list is older than the environment
        measured = _measured(jobs)
        rows = [_row(index, task, bench, measured) for index, task in enumerate(jobs.tasks)]
        write_whole(place.out / JOBS, as_csv(rows, JOB_COLUMNS))
        needs = _largest(rows, jobs, measured, at_once)
        fits = sum(not isinstance(task, Cell) for task in jobs.tasks)
        script, edited = _write_script(place.out, len(rows), fits, needs) if array else (None, False)
    done = sum(map(jobs.is_done, jobs.tasks))
    return Written(place.out, fits, len(rows) - fits, done, needs, script, edited)


def _measured(jobs: JobList) -> dict[str, list[Record]]:
    """What finished fits cost, by what learned."""
    found: dict[str, list[Record]] = {}
    for task in jobs.tasks:
        if isinstance(task, Cell):
            record = read_record(jobs.classification(task))
        else:  # the record of a whole fit has all parts
            record = read_record(jobs.fit(task)) if isinstance(task, PoolJob) else None
        if record is not None:
            found.setdefault(learner(task), []).append(record)
    return found


def _row(index: int, task: Task, bench: Bench, measured: dict[str, list[Record]]) -> Row:
    """One row of jobs.csv: what the plugin states, else the memory that was measured, with a margin."""
    needs = needs_of_task(task, bench.plugins, bench.prepared.device)
    peaks = [record.peak_mb for record in measured.get(learner(task), []) if record.peak_mb]
    memory = needs.memory_gb
    if memory is None and peaks:
        memory = math.ceil(max(peaks) * MARGIN * 2**20 / 1e8) / 10
    return {
        "index": index,
        "task": task.name,
        "needs": " ".join(needed.name for needed in needs_of(task, bench.prepared.parts)),
        "cores": needs.cores,
        "memory_gb": memory,
        "gpus": needs.gpus,
    }


def _largest(rows: list[Row], jobs: JobList, measured: dict[str, list[Record]], at_once: int | None) -> ArrayNeeds:
    """What the most demanding job needs: any job may have to make what it needs itself."""

    def most(column: str) -> float:
        return max((float(row[column]) for row in rows if row[column] is not None), default=0.0)  # type: ignore[arg-type]

    memory = None if any(row["memory_gb"] is None for row in rows) else most("memory_gb") + OWN_GB
    return ArrayNeeds(int(most("cores")), int(most("gpus")), memory, _minutes(jobs, measured), at_once)


def _minutes(jobs: JobList, measured: dict[str, list[Record]]) -> int | None:
    """How long the longest job takes with all that it needs, in minutes and with a margin; None if not known."""
    seconds = {plugin: median(record.seconds for record in records) for plugin, records in measured.items()}
    if any(learner(task) not in seconds for task in jobs.tasks):
        return None
    longest = max(sum(seconds[learner(one)] for one in (*task.needs, task)) for task in jobs.tasks)
    return max(LEAST_MINUTES, math.ceil(longest * MARGIN / 60 / 10) * 10)


def _write_script(out: Path, tasks: int, fits: int, needs: ArrayNeeds) -> tuple[Path, bool]:
    """Write the script, and beside it where the user has edited the one that is there; whether that is so."""
    text = array_script(out, tasks, fits, needs)
    (out / SLURM_LOGS).mkdir(parents=True, exist_ok=True)
    script, noted = out / SCRIPT, out / SLURM_LOGS / SCRIPT_DIGEST
    there = script.read_bytes() if script.exists() else b""
    written = noted.read_text(encoding="utf-8").strip() if noted.exists() else ""
    if there and there != text.encode() and hashlib.sha256(there).hexdigest() != written:
        beside = out / f"{SCRIPT}.new"
        write_whole(beside, text)
        return beside, True
    write_whole(script, text)
    write_whole(noted, f"{hashlib.sha256(text.encode()).hexdigest()}\n")
    return script, False
