"""What a list of jobs has come to: finished cells from the store, failed ones from their logs, the others waiting."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, Try
from lesionbench.experiment.grid import Cell, all_needs_of
from lesionbench.experiment.job_list import has_list, read_list, same_experiment
from lesionbench.experiment.output import SETTINGS, Exports, read_edited
from lesionbench.experiment.results import noted_cells
from lesionbench.experiment.tables import CellRows, write_cells
from lesionbench.experiment.tasks import logged_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lesionbench.experiment.grid import Parts
    from lesionbench.experiment.job_list import JobList
    from lesionbench.experiment.tasks import Task


def jobs_of(out: Path) -> JobList:
    """The list of jobs in a folder; raises OutputError if there is none, or if its experiment is another one."""
    jobs = read_list(out)
    if not same_experiment(read_edited(out)[0], jobs.prepared.experiment):
        raise OutputError(
            f"{out / SETTINGS} is not the experiment that its list of jobs was made from",
            Try("write the list again: lesionbench jobs {out}, or restore the file", out=out),
        )
    return jobs


def collect(out: Path, jobs: JobList) -> None:
    """Copy the predictions of finished cells into `out`, and write cells.csv."""
    exports, rows = Exports(out, jobs), CellRows(jobs, jobs.made)
    found = []
    for cell in jobs.tasks:
        if isinstance(cell, Cell):
            digest = exports.digest(cell)
            error = None if digest else cause_of_failure(out, cell, jobs.prepared.parts, jobs.is_done)
            found.append(rows.row(cell, digest, error))
    write_cells(out, found)


def refuse_uncollected(out: Path) -> None:
    """Raise OutputError if there is a list of jobs in `out`, and cells were finished since cells.csv was written."""
    if not has_list(out):
        return
    jobs, noted = jobs_of(out), noted_cells(out)
    cells = [task for task in jobs.tasks if isinstance(task, Cell) and noted[task.name]["status"] != "done"]
    late = sum(map(jobs.is_done, cells))
    if late:
        raise OutputError(
            f"more cells of {out} were finished since its tables were made ({late}); make them again: "
            f"lesionbench leaderboard {shlex.quote(str(out))}"
        )


def cause_of_failure(out: Path, task: Task, parts: Parts, is_done: Callable[[Task], bool]) -> str | None:
    """Why a task failed: one that it needs did, or its own fit; None if nothing was tried, or to be tried again."""
    for needed in all_needs_of(task, parts):
        logged = None if is_done(needed) else logged_error(out, needed)
        if logged is not None:
            return logged.cause
    logged = logged_error(out, task)
    return None if logged is None or logged.is_of_a_pool else logged.cause
