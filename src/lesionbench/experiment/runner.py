"""Running a grid: finished tasks are skipped, failures are recorded, and the rest goes on.

The grid is a small graph: augmenter fits and their pools first, link by link, then the cells that draw on them.
"""

from __future__ import annotations

import asyncio
import json
import math
import shlex
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from lesionbench.errors import LesionbenchError, WorkersLost
from lesionbench.experiment.bench import LOGS, Bench, read_record
from lesionbench.experiment.costs import Costs
from lesionbench.experiment.environment import write_environment
from lesionbench.experiment.grid import Cell, PartJob, PoolJob, cells, needs_of
from lesionbench.experiment.needs import memory_of_task, needs_of_task, note_peak
from lesionbench.experiment.output import Exports, write_settings
from lesionbench.experiment.pictures import draw_samples
from lesionbench.experiment.progress_log import PROGRESS
from lesionbench.experiment.queue import Queue
from lesionbench.experiment.tables import CellRows, Tables, write_cells, write_splits, write_tables
from lesionbench.experiment.tasks import Outcome, Task, do_apart, log_error, try_to_draw, write_files
from lesionbench.experiment.worker_check import made_with
from lesionbench.workers.executors import KEPT, UnfitWorker
from lesionbench.workers.raised import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lesionbench.experiment.prepare import Prepared
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.workers.executors import Workers

OFTEN = 1.0  # seconds between two versions of cells.csv
TICK = 0.25  # seconds between two looks at the workers' progress
SILENT = 600.0  # seconds without a report after which a task is named
MOST_TRIES = 3  # of a task whose result did not come back
GONE = "the executor broke"
CHANGED = (
    "the store has no result of it: a plugin or a library changed while this ran, or the worker does not see the "
    "store; run the same command again"
)


@dataclass(frozen=True)
class Running:
    """A running task and the last line of its progress (empty before the first line)."""

    task: Task
    seconds: float
    progress: dict[str, Any]


class View(Protocol):
    """Shows a run to the user; entered when the run starts and left when it ends."""

    def __enter__(self) -> View: ...
    def __exit__(self, *exception: object) -> None: ...
    def prepared(self, prepared: Prepared) -> None: ...  # the images are loaded and divided, nothing has run yet
    def begin(self, total: int, finished: int, folder: Path) -> None: ...
    def tick(self, running: list[Running], done: int, failed: int, total: int) -> None: ...
    def ended(self, task: Task, outcome: Outcome, seconds: float) -> None: ...
    def say(self, message: str) -> None: ...


@dataclass
class Run:
    """One run of an experiment into a folder."""

    bench: Bench
    out: Path
    view: View
    seconds: float | None = None  # how long one task may take
    rows: dict[str, Row] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    suspects: set[Task] = field(default_factory=set)  # tasks whose process was killed; each is run again, alone
    tries: Counter[Task] = field(default_factory=Counter)  # of tasks whose result did not come back
    said: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)  # of the predictions of finished cells
    peaks: dict[str, float] = field(default_factory=dict)  # the largest memory of fits so far (GB), by plugin
    heard: dict[Task, tuple[dict[str, Any], float]] = field(default_factory=dict)  # the last report of tasks, and when
    changed: bool = True  # whether a row of cells.csv is not written yet
    done_before: int = 0  # how many cells were done when it began
    written: float = 0.0  # when cells.csv was written, by the monotonic clock
    queue: Queue = field(init=False)

    @property
    def unfinished(self) -> int:
        """How many cells are not done."""
        return sum(row["status"] != "done" for row in self.rows.values())

    @property
    def state(self) -> str:
        """How many cells are done and how many failed, in words; none was looked at before the run began."""
        status = Counter(row["status"] for row in self.rows.values())
        failed = f", {status['failed']} failed" if status["failed"] else ""
        return f"{status['done']} of {len(self.rows)} cells are done{failed}" if self.rows else "no cell was run"

    @cached_property
    def costs(self) -> Costs:
        """How long tasks take."""
        return Costs(self.bench.plugins, self.bench.prepared.parts)

    @cached_property
    def exports(self) -> Exports:
        """What copies predictions from the store."""
        return Exports(self.out, self.bench)

    @cached_property
    def cell_rows(self) -> CellRows:
        """What makes the rows of cells.csv."""
        return CellRows(self.bench, self.started)

    @cached_property
    def made_with(self) -> dict[str, str]:
        """What the results of this run are made with; a worker that has anything else does not make them."""
        return made_with(self.bench.prepared.experiment, self.bench.plugins)

    def __call__(self, open_workers: Callable[[], AbstractContextManager[Workers]]) -> Tables:
        """Run every unfinished cell, write all tables and return them."""
        grid = cells(self.bench.prepared.experiment, self.bench.prepared.about.folds)
        write_settings(self.out, self.bench.prepared, self.bench.plugins)
        write_splits(self.out, self.bench)
        with self.bench.store.listed():
            todo = [cell for cell in grid if not self._is_finished(cell)]
            self.done_before = len(grid) - len(todo)
            self.view.begin(len(grid), self.done_before, self.out)
            for cell in grid:
                self._note(cell, None)
            self._write_cells()
            write_environment(self.out, self.bench.prepared, self.bench.plugins)  # predictions of another are gone now
            self.queue = self._tasks(todo)
        try:
            while self.queue:
                self._work(open_workers)
            self._draw_missing_samples(grid)
        except BaseException:
            with suppress(Exception):  # what stopped the run is what to say
                self._write_tables(todo)
            raise
        return self._write_tables(todo)

    def _draw_missing_samples(self, grid: list[Cell]) -> None:
        """Draw the sample pictures of pools that came from the store."""
        pictures = [path.name for path in (self.out / "samples").glob("*.png")]
        drawn = {name[:at] for name in pictures for at, letter in enumerate(name) if letter == "_"}
        for job in dict.fromkeys(job for cell in grid for job in cell.pools):
            if job.name not in drawn:
                try_to_draw(partial(self._draw_samples, job))

    def _draw_samples(self, job: PoolJob) -> None:
        pool = self.bench.kept_pool(job)
        if pool is not None:
            draw_samples(self.out / "samples", job.name, self.bench.fold(job.fold).train, pool)

    def _write_tables(self, todo: list[Cell]) -> Tables:
        """Write all tables; a cell that was stopped after its predictions and before its row gets the row now."""
        for cell in todo:
            if self.rows[cell.name]["status"] == "waiting" and self._is_finished(cell):
                self._note(cell, None)
        self._write_cells()
        return write_tables(self.out)

    def _write_cells(self) -> None:
        """Write cells.csv, if anything changed. What it lacks if this process is killed, the next run finds out."""
        if self.changed:
            write_cells(self.out, list(self.rows.values()))
            self.changed, self.written = False, time.monotonic()

    def _is_finished(self, cell: Cell) -> bool:
        """Whether a cell's predictions are in the store; they are in the output folder then."""
        digest = self.exports.digest(cell)
        if digest is not None:
            self.digests[cell.name] = digest
        return digest is not None

    def _tasks(self, todo: list[Cell]) -> Queue:
        """The queue of what is missing: the parts of fits, the pools that are drawn from these, and the cells."""
        jobs = dict.fromkeys(job for cell in todo for job in cell.needs)  # the links of a chain in their order
        missing = [job for job in jobs if not self.bench.has_pool(job)]
        if len(missing) < len(jobs):
            self._say(f"these cells need {len(jobs)} augmenter fits; the store has {len(jobs) - len(missing)} of them")
        tasks: list[Task] = []
        for job in missing:
            tasks += [part for part in self.bench.parts_of(job) if not self.bench.has_part(part)]
            tasks.append(job)
        return Queue([*tasks, *todo], partial(needs_of, parts=self.bench.prepared.parts), self.costs)

    def _work(self, open_workers: Callable[[], AbstractContextManager[Workers]]) -> None:
        """Give tasks to workers until all are done or the workers are gone; the caller then opens new ones."""
        with _opened(open_workers) as workers:
            running: dict[Future[Outcome], tuple[Task, float]] = {}
            try:
                while self.queue or running:
                    self._submit(workers, running)
                    wait(running, timeout=TICK, return_when=FIRST_COMPLETED)
                    for future in [one for one in running if one.done()]:  # `wait` misses some that were cancelled
                        task, start = running[future]
                        outcome = _outcome(future)
                        if outcome.lost:
                            workers.check()
                        del running[future]
                        self._ending(task, outcome)(task, outcome, time.monotonic() - start)
                    self._tick(list(running.values()))
            except BrokenExecutor as error:
                for task, start in running.values():
                    self._lost(task, Outcome(f"{GONE} ({in_one_line(error)})", ()), time.monotonic() - start)

    def _submit(self, workers: Workers, running: dict[Future[Outcome], tuple[Task, float]]) -> None:
        """Start tasks until every worker has one; a suspect runs alone."""
        if not workers.slots:
            self._say("no worker is there; the run goes on as soon as one is")
        while self.queue and len(running) < workers.slots:
            task, others = self.queue.first(workers.slots), [one for one, _ in running.values()]
            if others and self.suspects.intersection([task, *others]):
                return
            if not self._has_room(workers, task, others):
                return
            self.queue.begin(task)
            running[self._submitted(workers, task)] = (task, time.monotonic())

    def _has_room(self, workers: Workers, task: Task, running: list[Task]) -> bool:
        """Whether there is memory for one more task; there always is for one that runs alone."""
        if workers.memory_gb is None or not running:
            return True
        if sum(map(self._memory_gb, [task, *running])) <= workers.memory_gb:
            return True
        self._say(f"fewer tasks run at a time than could: {workers.memory_gb:.1f} GB of memory are free")
        return False

    def _memory_gb(self, task: Task) -> float:
        return memory_of_task(task, self.bench.plugins, self.bench.prepared.device, self.peaks)

    def _submitted(self, workers: Workers, task: Task) -> Future[Outcome]:
        """The future of a task; it has failed already when the executor does not take the task."""
        needs = needs_of_task(task, self.bench.plugins, self.bench.prepared.device)
        arguments = (self.bench.prepared, self.out.absolute(), self.bench.plugins.own, self.seconds, self.made_with)
        try:
            return workers.submit(needs, do_apart, task, *arguments)
        except Exception as error:  # a cluster may raise anything
            refused: Future[Outcome] = Future()
            refused.set_exception(error)
            return refused

    def _say(self, message: str) -> None:
        """Tell the user something once."""
        if message not in self.said:
            self.said.add(message)
            self.view.say(message)

    def _ending(self, task: Task, outcome: Outcome) -> Callable[[Task, Outcome, float], None]:
        """What to do with a task that ended so."""
        return self._killed if outcome.killed else self._lost if outcome.lost else self._ended

    def _lost(self, task: Task, outcome: Outcome, seconds: float) -> None:
        """Queue a task whose result did not come back, up to three times in all; then it has failed."""
        self.tries[task] += 1
        if self.tries[task] == MOST_TRIES:
            self._ended(task, outcome, seconds)
            return
        self.queue.put_back(task)
        self._say(f"{task.name} is run again: {outcome.error}")

    def _killed(self, task: Task, outcome: Outcome, seconds: float) -> None:
        """Queue a task whose process was killed, to run alone in the end; when that happened before, it has failed."""
        if task in self.suspects:
            self._ended(task, outcome, seconds)
        else:
            self.suspects.add(task)
            self.queue.put_back(task, last=True)

    def _ended(self, task: Task, outcome: Outcome, seconds: float) -> None:
        for message in outcome.messages:
            self._say(message)
        write_files(self.out, outcome)
        if isinstance(task, Cell) and not outcome.error and not self._is_finished(task):
            outcome = Outcome(CHANGED, ())
        if outcome.error and not outcome.logged:
            log_error(self.out, task, outcome.error)
        self.view.ended(task, outcome, seconds)
        if isinstance(task, Cell):
            self._note(task, outcome.error)
        else:
            self._release(task, outcome.error)
        if time.monotonic() > self.written + OFTEN:
            self._write_cells()

    def _release(self, task: PoolJob | PartJob, error: str | None) -> None:
        """Let the tasks begin that waited for this one, or fail them if it failed."""
        if error is not None:
            for waiter in self.queue.give_up(task):
                self._fail(waiter, task, error)
            return
        record = read_record(self.bench.fit(task) if isinstance(task, PoolJob) else self.bench.fitted_part(task))
        self._note_cost(task, record and record.peak_mb, record and record.seconds)
        self.queue.ended(task)

    def _fail(self, task: Task, needed: Task, error: str) -> None:
        """Record a task as failed because one that it needs did."""
        log_error(self.out, task, error, needed)
        if isinstance(task, Cell):
            self._note(task, error)
        else:
            self._release(task, error)

    def _note(self, cell: Cell, error: str | None) -> None:
        """Update one row of cells.csv."""
        self.changed = True
        row = self.rows[cell.name] = self.cell_rows.row(cell, self.digests.get(cell.name), error)
        self._note_cost(cell, row["classifier_peak_mb"], row["classifier_seconds"])
        if cell.pools:
            self._note_cost(cell.pools[-1], row["augmenter_peak_mb"], row["augmenter_seconds"])

    def _note_cost(self, task: Task, peak_mb: object, seconds: object) -> None:
        """Note what memory and time a fit took, where that is known."""
        note_peak(self.peaks, task, peak_mb)
        self.costs.note(task, seconds)

    def _tick(self, running: list[tuple[Task, float]]) -> None:
        now = time.monotonic()
        shown = [Running(task, now - start, last_progress(self.out, task)) for task, start in running]
        for one in shown:
            self.costs.note_progress(one.task, one.progress)
        self._name_silent(shown, now)
        status = Counter(row["status"] for row in self.rows.values())
        self.view.tick(shown, status["done"], status["failed"], len(self.rows))

    def _name_silent(self, running: list[Running], now: float) -> None:
        """Name a task that has not reported for long, once, and how to cancel it."""
        for one in running:
            progress, since = self.heard.get(one.task, ({}, now - one.seconds))
            if progress != one.progress:
                since = now
            self.heard[one.task] = one.progress, since
            if now - since > SILENT:
                command = shlex.join(["lesionbench", "cancel", str(self.out), one.task.name])
                self._say(
                    f"{one.task.name} has not reported for {SILENT / 60:.0f} minutes; if it hangs, cancel it from "
                    f"another terminal: {command}"
                )


@contextmanager
def _opened(open_workers: Callable[[], AbstractContextManager[Workers]]) -> Iterator[Workers]:
    """The workers; raises WorkersLost when there can be none."""
    with ExitStack() as stack:
        try:
            workers = stack.enter_context(open_workers())
        except LesionbenchError:
            raise
        except Exception as error:  # a cluster may raise anything
            raise WorkersLost(f"the executor could not be opened ({in_one_line(error)}); {KEPT}") from None
        yield workers


def _outcome(future: Future[Outcome]) -> Outcome:
    """How a task ended; raises BrokenExecutor if the executor is of no use any more."""
    try:
        found = future.result()
    except BrokenExecutor:
        raise
    except UnfitWorker as error:
        return Outcome(str(error), (), lost=True)
    except (Exception, asyncio.CancelledError) as error:  # a cluster that drops a task may raise anything
        return Outcome(f"the executor brought no result ({in_one_line(error)})", (), lost=True)
    if not isinstance(found, Outcome):
        return Outcome(f"the executor brought {found!r:.80} for a result", (), lost=True)
    return found


def last_progress(out: Path, task: Task) -> dict[str, Any]:
    """The last complete line of a task's progress; empty before the first, and where a plugin reported no numbers."""
    path = out / LOGS / task.name / PROGRESS
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 2000))
            lines = file.read().split(b"\n")
        found: dict[str, Any] = json.loads(lines[-2])
        usable = all(math.isfinite(found[name]) for name in ("step", "total", "seconds"))
    except (OSError, IndexError, ValueError, KeyError, TypeError, OverflowError):
        return {}
    return found if usable else {}
