"""The executor `local`: threads of this process that run each task in a process of its own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from lesionbench.workers.apart import KeptProcess, keep_in_thread
from lesionbench.workers.executors import Executor, Opening, Workers
from lesionbench.workers.memory import free_gigabytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from lesionbench.pipeline.context import Device


class Local(Executor):
    """Processes on this machine."""

    is_here: ClassVar[bool] = True

    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        if opening.jobs:
            return local_workers(opening.jobs)
        return local_workers(default_jobs(opening.device), free_gigabytes())


def default_jobs(device: Device) -> int:
    """The default number of processes: one for each core, or one in all on a GPU."""
    return os.cpu_count() or 1 if device == "cpu" else 1


@contextmanager
def local_workers(jobs: int, memory_gb: float | None = None) -> Iterator[Workers]:
    """Threads that run `jobs` tasks at a time, each in a process of its own; an exception stops them at once.

    memory_gb: what all tasks that run at the same time may need together.
    """
    kept: list[KeptProcess] = []
    executor = ThreadPoolExecutor(jobs, "lesionbench", _keep_one_more, (kept,))
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


def _keep_one_more(kept: list[KeptProcess]) -> None:
    """Let the calling thread run its tasks in a process that its pool knows."""
    kept.append(KeptProcess())
    keep_in_thread(kept[-1])
