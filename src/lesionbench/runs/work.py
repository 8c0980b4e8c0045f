"""Working on a list of jobs: any number of processes, on any machine that sees the folder and the store.

A process claims the entry that it makes, so two never make the same one. Who needs what another one is making does
other work of the list meanwhile, or waits.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from lesionbench.errors import OutputError, StoreError
from lesionbench.experiment.bench import LOGS
from lesionbench.experiment.collect import jobs_of
from lesionbench.experiment.grid import all_needs_of, needs_of
from lesionbench.experiment.output import LOCK, locked
from lesionbench.experiment.prepare import has_gpu_driver
from lesionbench.experiment.runner import CHANGED
from lesionbench.experiment.tasks import ERROR, RUNNING, Outcome, do_apart, log_error, logged_error
from lesionbench.store.addresses import local_folder
from lesionbench.store.claims import claimed
from lesionbench.workers.apart import Stopped
from lesionbench.workers.executors import KEPT, UnfitWorker
from lesionbench.workers.local import local_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lesionbench.experiment.job_list import JobList
    from lesionbench.experiment.tasks import Task

ARRAY = "SLURM_ARRAY_JOB_ID"  # SLURM's number of a whole array, the same for all of its jobs
FAILED_IN = Path(LOGS, "slurm", "failed")  # what failed in which array
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 5.0  # seconds between two looks at what others make
SILENCE = 60.0  # seconds until a store that did not answer is asked again what others made


def work_on(
    out: Path, index: int | None, say: Callable[[str], None], processes: int = 1, seconds: float | None = None
) -> dict[str, str]:
    """Do one task of the list in `out`, or without an index whatever is ready; return why tasks failed, by name.

    processes: tasks at the same time, without an index.  seconds: how long one task may take.
    Raises OutputError when there is no list, when a run has the folder, when the code here is not that of the list, or
    when the store does not answer. If it stops doing so later, this goes on, and raises StoreError in the end.
    """
    jobs = jobs_of(out)
    jobs.store.check()
    if jobs.prepared.device == "cuda" and not has_gpu_driver():
        raise OutputError("this experiment runs on a GPU, and this machine has none; ask the cluster for one")
    with locked(out, shared=True), local_workers(processes if index is None else 1) as workers:
        (out / LOCK).touch()
        work = Work(out, jobs, say, seconds, started=(out / LOCK).stat().st_mtime_ns)
        ends = [workers.executor.submit(work, index) for _ in range(processes if index is None else 1)]
        try:
            for end in ends:
                end.result()
        except BaseException:  # Ctrl-C, or one of them cannot go on
            work.stopped.set()
            raise
        work.settle()
    wanted = jobs.tasks if index is None else jobs.tasks[index : index + 1]
    return {task.name: work.failed[task] for task in wanted if task in work.failed}


class Ended(Enum):
    """How it went with one task."""

    DONE = "done"  # it is in the store
    FAILED = "failed"
    BUSY = "busy"  # another living process makes it


@dataclass
class Work:
    """One process that works on a list of jobs."""

    out: Path
    jobs: JobList
    say: Callable[[str], None]
    seconds: float | None = None  # how long a task may take
    done: set[Task] = field(default_factory=set)
    failed: dict[Task, str] = field(default_factory=dict)  # with the cause
    started: int = 0  # nanoseconds, by the clock of the disk
    stopped: Event = field(default_factory=Event)  # its threads end as soon as this is set
    silent_until: float = 0.0  # by the monotonic clock; until then the store is not asked what others made

    def __call__(self, index: int | None) -> None:
        """Do the task of this index, or without one whatever is ready until every task is done or failed."""
        if index is None:
            self._all()
        else:
            self._one(index)

    def _one(self, index: int) -> None:
        """Do one task, and first what it needs; nothing when the list has no such index."""
        if index >= len(self.jobs.tasks):
            self.say(f"nothing to do: the list ends with index {len(self.jobs.tasks) - 1}")
            return
        task = self.jobs.tasks[index]
        if self._is_made(task):
            self.say(f"{task.name} is done already")
            return
        others = [*self.jobs.tasks[index + 1 :], *self.jobs.tasks[:index]]
        steps = (*all_needs_of(task, self.jobs.prepared.parts), task)
        pause = SHORTEST_WAIT
        while True:
            step = next(one for one in steps if one is task or not self._is_done(one))
            ended = self._failed_already(step, task) or self._attempt(step)
            if step is task:
                if ended is Ended.BUSY:
                    self.say(f"{task.name} is being made by another process")
                return
            if ended is Ended.FAILED:
                self._give_up(task)
                return
            if ended is Ended.BUSY and self._next(others) is None:
                self._wait(f"waiting for {step.name}", pause)
                pause = min(2 * pause, LONGEST_WAIT)

    def _all(self) -> None:
        pause = SHORTEST_WAIT
        left: Sequence[Task] = self.jobs.tasks
        while left := [task for task in left if not self._is_done(task) and task not in self.failed]:
            if self._next(left) is not None:
                pause = SHORTEST_WAIT
            elif not any(task in self.failed for task in left):
                self._wait("waiting for what other processes make", pause)
                pause = min(2 * pause, LONGEST_WAIT)

    def _next(self, tasks: Sequence[Task]) -> Task | None:
        """Do the first of these tasks that nobody makes and that has all it needs; None when there is none."""
        for task in tasks:
            if task in self.failed or self._is_done(task):
                continue
            needed = needs_of(task, self.jobs.prepared.parts)
            if any(map(self._has_failed, needed)):
                self._give_up(task)
            elif self._has_failed(task):
                self.failed[task] = self._cause(task)
            elif all(map(self._is_done, needed)) and self._attempt(task) is not Ended.BUSY:
                return task
        return None

    def settle(self) -> None:
        """Send to a store on another machine what could not be sent before; raises StoreError if that fails again."""
        try:
            self.jobs.store.settle()
        except StoreError as error:
            raise StoreError(f"{error.message}; {KEPT}") from None

    def _is_done(self, task: Task) -> bool:
        """Whether what a task makes is known to be in the store."""
        if task not in self.done and time.monotonic() > self.silent_until:
            try:
                if self.jobs.is_done(task):
                    self.done.add(task)
            except StoreError as error:
                self.say(f"{error.message}; the work goes on, and makes what it cannot fetch")
                self.silent_until = time.monotonic() + SILENCE
        return task in self.done

    def _is_made(self, task: Task) -> bool:
        """Whether what a task makes is there now, whole; on this machine, if the store does not answer."""
        made = self.jobs.is_made(task)
        (self.done.add if made else self.done.discard)(task)
        return made

    def _has_failed(self, task: Task) -> bool:
        """Whether a task failed here, or elsewhere since this process started, or in the same array."""
        if task in self.failed:
            return True
        try:
            since = (self.out / LOGS / task.name / ERROR).stat().st_mtime_ns
        except OSError:
            return False
        return since > self.started or (self._mark is not None and (self._mark / task.name).exists())

    def _failed_already(self, step: Task, task: Task) -> Ended | None:
        """Failed, for what a task needs and nobody has to try again; the task itself is always tried again."""
        return Ended.FAILED if step is not task and not self._is_done(step) and self._has_failed(step) else None

    def _attempt(self, task: Task) -> Ended:
        """Make one entry, if nobody else makes it now; of a task that is stopped, nothing is recorded."""
        with self._claim(task) as mine:
            if not mine:
                return Ended.BUSY
            if self._is_made(task):  # by another one, meanwhile
                return Ended.DONE
            self.say(f"making {task.name}")
            begin = time.monotonic()
            outcome = self._made(task)
            for message in outcome.messages:
                self.say(message)
            if outcome.error is None:
                self.say(f"made {task.name} in {time.monotonic() - begin:.0f} s")
                return Ended.DONE
            if self.stopped.is_set():  # then the task was stopped too, whatever came of it
                raise Stopped
            self.say(f"{task.name} failed in {time.monotonic() - begin:.0f} s: {outcome.error}")
            return self._record(task, outcome)

    @contextmanager
    def _claim(self, task: Task) -> Iterator[bool]:
        """True for the one process that may make an entry now.

        Caches of a store on another machine know nothing of each other's claims; this folder may be what they share.
        """
        place = self.jobs.place(task)
        with ExitStack() as stack:
            mine = stack.enter_context(self.jobs.store.claim(*place))
            if mine and local_folder(self.jobs.prepared.store) is None:
                mine = stack.enter_context(claimed(self.out / RUNNING, *place))
            yield mine

    def _made(self, task: Task) -> Outcome:
        """How making an entry ended; a task whose process was killed, perhaps from outside, is tried once more."""
        outcome = Outcome("", (), killed=True)
        for _ in range(2):
            if outcome.killed:
                outcome = self._tried(task)
        return Outcome(CHANGED, ()) if outcome.error is None and not self._is_made(task) else outcome

    def _tried(self, task: Task) -> Outcome:
        expected, out = self.jobs.made_with, self.out.absolute()
        try:
            return do_apart(task, self.jobs.prepared, out, seconds=self.seconds, expected=expected)
        except UnfitWorker as error:
            raise OutputError(
                f"the list of jobs was made with other code (here means where it was made): {error.message}; or write "
                f"it again: lesionbench jobs {self.out}"
            ) from None

    def _record(self, task: Task, outcome: Outcome) -> Ended:
        assert outcome.error is not None
        if not outcome.logged:
            log_error(self.out, task, outcome.error)
        self.failed[task] = outcome.error
        if self._mark is not None:
            self._mark.mkdir(parents=True, exist_ok=True)
            (self._mark / task.name).touch()
        return Ended.FAILED

    def _give_up(self, task: Task) -> None:
        """Record that a task failed because something that it needs did."""
        needed = next(one for one in all_needs_of(task, self.jobs.prepared.parts) if self._has_failed(one))
        self.failed[task] = self._cause(needed)
        log_error(self.out, task, self.failed[task], needed)

    def _cause(self, task: Task) -> str:
        logged = logged_error(self.out, task)
        return self.failed.get(task) or (logged.cause if logged else "it failed in another process")

    @property
    def _mark(self) -> Path | None:
        """The folder that says what failed in the array that this process belongs to; None outside of an array."""
        array = os.environ.get(ARRAY, "")
        return self.out / FAILED_IN / array if array.isdigit() else None

    def _wait(self, why: str, seconds: float) -> None:
        if seconds == SHORTEST_WAIT:
            self.say(why)
        if self.stopped.wait(seconds):
            raise Stopped
