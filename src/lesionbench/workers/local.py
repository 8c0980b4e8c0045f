"""The executor `local`: threads of this process that run each task in a process of its own."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from numbers import Integral
from threading import Thread
from typing import TYPE_CHECKING, ClassVar

from lesionbench.errors import SettingsError, Try
from lesionbench.spelling import shown
from lesionbench.workers.apart import KeptProcess, keep_in_thread, run_apart
from lesionbench.workers.executors import MOST_JOBS, Executor, Opening, Workers
from lesionbench.workers.memory import free_gigabytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from lesionbench.pipeline.context import Device


AUTO = "auto"


class Local(Executor):
    """Processes on this machine."""

    is_here: ClassVar[bool] = True

    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        if opening.jobs:
            return local_workers(opening.jobs, started=opening.started)
        return local_workers(default_jobs(opening.device), free_gigabytes(), opening.started)


def number_of_jobs(jobs: int | str | None) -> int | None:
    """The number of processes that was asked for, as a number or as text; None for `auto` and for None.

    Raises SettingsError unless there can be this number of processes.
    """
    if jobs is None or jobs == AUTO:
        return None
    whole = isinstance(jobs, Integral) and not isinstance(jobs, bool)
    number = int(jobs) if whole or (isinstance(jobs, str) and re.fullmatch("[0-9]{1,9}", jobs)) else 0
    if not 0 < number <= MOST_JOBS:
        raise SettingsError(
            f"the number of processes is a whole number from 1 to {MOST_JOBS}, or {AUTO}, not {shown(jobs)}",
            Try("try {jobs}", jobs=2),
        )
    return number


def default_jobs(device: Device) -> int:
    """The default number of processes: one for each core, or one in all on a GPU."""
    return os.cpu_count() or 1 if device == "cpu" else 1


class Started:
    """Processes that get ready for tasks while this process does something else.

    To import torch and the plugins takes a worker seconds, about as long as loading the images takes here.
    """

    def __init__(self, number: int, prepare: Callable[[], object]) -> None:
        """prepare: what every process calls first, see `run_apart`."""
        self._waiting: list[tuple[KeptProcess, Thread]] = []
        for _ in range(number):
            kept = KeptProcess()
            thread = Thread(target=_get_ready, args=(kept, prepare), daemon=True)
            thread.start()
            self._waiting.append((kept, thread))

    def take(self) -> tuple[KeptProcess, Thread] | None:
        """One of them, with the thread that ends when it is ready; None when all are taken."""
        try:
            return self._waiting.pop()
        except IndexError:
            return None

    def close(self) -> None:
        """End those that nobody took."""
        for kept, _ in self._waiting:
            kept.stop()
        self._waiting.clear()


def _get_ready(kept: KeptProcess, prepare: Callable[[], object]) -> None:
    keep_in_thread(kept)
    with suppress(Exception):  # whatever is wrong is said by the first task
        run_apart(bool, prepare=prepare)


@contextmanager
def local_workers(jobs: int, memory_gb: float | None = None, started: Started | None = None) -> Iterator[Workers]:
    """Threads that run `jobs` tasks at a time, each in a process of its own; an exception stops them at once.

    memory_gb: what all tasks that run at the same time may need together.
    started: processes to take first.
    """
    kept: list[KeptProcess] = []
    executor = ThreadPoolExecutor(jobs, "lesionbench", _keep_one_more, (kept, started))
    try:
        yield Workers(executor, jobs, memory_gb)
    except BaseException:
        for one in kept:
            one.stop()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        for one in kept:
            one.stop()


def _keep_one_more(kept: list[KeptProcess], started: Started | None) -> None:
    """Let the calling thread run its tasks in a process that its pool knows."""
    taken = started.take() if started is not None else None
    one = taken[0] if taken else KeptProcess()
    kept.append(one)  # before it is ready, so that Ctrl-C ends it at once
    if taken:
        taken[1].join()
    keep_in_thread(one)
