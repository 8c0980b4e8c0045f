"""Where tasks run: a pool of local processes, or a dask cluster; the runner sees `concurrent.futures` only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from lesionbench.errors import SettingsError, Try

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.pipeline.context import Device

ExecutorKind = Literal["local", "dask"]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Workers:
    """An executor and the number of tasks it runs at the same time."""

    executor: Executor
    slots: int


def default_jobs(device: Device) -> int:
    """The default number of processes: one for each core, or one in all on a GPU."""
    return os.cpu_count() or 1 if device == "cpu" else 1


class _WorkerProcess(SpawnProcess):
    """A fresh process that does not run the main script again, as other spawned processes do.

    A script, or a notebook, that calls lesionbench.run thus needs no `if __name__ == "__main__":`.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # multiprocessing calls it so
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # so that the new process runs no script
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Workers(SpawnContext):
    Process = _WorkerProcess


@contextmanager
def local_workers(jobs: int) -> Iterator[Workers]:
    """A pool of `jobs` new processes with one thread each; on an exception they are stopped at once."""
    with _environment(ONE_THREAD):  # numpy and torch read these when a new process imports them
        executor = ProcessPoolExecutor(jobs, _Workers(), _obey_parent)
        try:
            yield Workers(executor, jobs)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if isinstance(process, _WorkerProcess):  # a notebook may have processes of its own
                    process.terminate()
            raise
        executor.shutdown()


def _obey_parent() -> None:
    """Ignore Ctrl-C in a worker; the parent stops its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before: dict[str, Any] = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
