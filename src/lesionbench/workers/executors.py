"""Where tasks run: in processes of their own on this machine, or on a dask cluster; the runner sees executors only."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lesionbench.errors import SettingsError, Try
from lesionbench.workers.apart import KeptProcess, keep_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.pipeline.context import Device

ExecutorKind = Literal["local", "dask"]


@dataclass(frozen=True)
class Workers:
    """An executor and the number of tasks it runs at the same time."""

    executor: Executor
    slots: int


def default_jobs(device: Device) -> int:
    """The default number of processes: one for each core, or one in all on a GPU."""
    return os.cpu_count() or 1 if device == "cpu" else 1


@contextmanager
def local_workers(jobs: int) -> Iterator[Workers]:
    """Threads that run `jobs` tasks at a time, each in a process of its own; an exception stops them at once."""
    kept: list[KeptProcess] = []
    executor = ThreadPoolExecutor(jobs, "lesionbench", _keep_one_more, (kept,))
    try:
        yield Workers(executor, jobs)
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


@contextmanager
def dask_workers(scheduler: str) -> Iterator[Workers]:
    """The workers of a running dask cluster; they must see the output folder under the same path."""
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError("the executor dask needs dask.distributed; type: pip install 'lesionbench[dask]'") from None
    try:
        client: Any = Client(scheduler, timeout="10s")  # type: ignore[no-untyped-call]  # dask is not typed
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"no dask scheduler answers at {scheduler!r} ({error})",
            Try("give the address of one that runs: {scheduler}"),
        ) from None
    with client:
        slots = sum(client.nthreads().values())
        if not slots:
            raise SettingsError(
                f"the dask scheduler at {scheduler!r} has no workers; start one: dask worker {scheduler}"
            )
        yield Workers(client.get_executor(pure=False), slots)


@contextmanager
def open_workers(kind: ExecutorKind, jobs: int, scheduler: str | None) -> Iterator[Workers]:
    """The workers that the command line asks for."""
    if kind == "dask":
        if scheduler is None:
            raise SettingsError(
                "the executor dask needs the address of a scheduler",
                Try("add {scheduler}", scheduler="tcp://127.0.0.1:8786"),
            )
        with dask_workers(scheduler) as workers:
            yield workers
    else:
        with local_workers(jobs) as workers:
            yield workers
