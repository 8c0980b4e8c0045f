"""The executor `dask`: the workers of a dask cluster that runs already.

Every task runs in a process of its own, so a worker may have any number of threads.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from lesionbench.errors import SettingsError, Try, WorkersLost
from lesionbench.workers.apart import KeptProcess, keep_in_thread, run_apart
from lesionbench.workers.executors import KEPT, Executor, Needs, Opening, UnfitWorker, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

GPU, MEMORY, CORES = "GPU", "MEMORY", "CORES"  # how workers name their resources; memory in bytes
PATIENCE = 10  # seconds until a scheduler that does not answer is given up
LOOK = 1.0  # seconds between two looks at the workers, or at whether a task is still wanted
A_MOMENT = 0.1  # seconds between two looks at a connection that is made
LOGGERS = ("distributed", "tornado", "asyncio")  # they write many lines when a connection is lost


class Dask(Executor):
    """The workers of a dask cluster that runs already."""

    is_standing: ClassVar[bool] = True

    scheduler: str | None = Field(None, description="the address of the scheduler, such as tcp://127.0.0.1:8786")

    def check(self, needs: Needs) -> None:
        with self._asked() as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise SettingsError(
                f"the dask scheduler at {self.scheduler!r} has no workers; start one: dask worker {self.scheduler}"
            )
        if needs.gpus and not any(worker["resources"].get(GPU, 0) >= needs.gpus for worker in workers.values()):
            raise SettingsError(
                f"a task needs {needs.gpus} GPU, but no worker at {self.scheduler!r} says that it has that many; start "
                f"workers with: dask worker {self.scheduler} --resources GPU={needs.gpus}",
                Try("or use {device}", device="cpu"),
            )

    def everywhere(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        with self._asked() as client:
            answers: dict[str, Any] = client.run(_look_apart, function, *args, on_error="return")
        return answers

    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        return self._open()

    @contextmanager
    def _open(self) -> Iterator[Workers]:
        with self._client() as client:
            yield DaskWorkers(client, str(self.scheduler))

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        """A client for questions; raises WorkersLost if the scheduler goes meanwhile."""
        with self._client() as client:
            try:
                yield client
            except OSError:
                raise WorkersLost(_gone(self.scheduler)) from None

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of the scheduler; raises SettingsError if there is none."""
        if find_spec("distributed") is None:
            raise SettingsError("the executor dask needs dask.distributed; type: pip install 'lesionbench[dask]'")
        if self.scheduler is None:
            raise SettingsError(
                "the executor dask needs the address of a scheduler",
                Try("add {scheduler}", scheduler="tcp://127.0.0.1:8786"),
            )
        with _quiet():
            try:
                client = _connected(self.scheduler)
            except (OSError, ValueError) as error:
                raise SettingsError(
                    f"no dask scheduler answers at {self.scheduler!r} ({error})",
                    Try("give the address of one that runs: {scheduler}"),
                ) from None
            with client:
                yield client


def _connected(address: str) -> Any:
    """A client of the scheduler at an address; raises OSError or ValueError if there is none."""
    from distributed import Client

    client: Any = Client.__new__(Client)
    try:
        client.__init__(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError):
        with suppress(Exception):
            client.close(timeout=LOOK)
        client.status = "closed"  # otherwise it is closed once more at the end, which takes seconds and fails aloud
        raise
    return client


def _gone(scheduler: str | None) -> str:
    return f"the dask scheduler at {scheduler!r} is gone; {KEPT}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the libraries of dask log nothing: what matters is raised or shown by the run."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in LOGGERS]
    loud = [logger for logger in map(logging.getLogger, names) if not logger.disabled]
    for logger in loud:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in loud:
            logger.disabled = False


class DaskWorkers(Workers):
    """The workers that a client knows, but for those that were found unfit."""

    def __init__(self, client: Any, scheduler: str) -> None:
        super().__init__(client.get_executor(pure=False), 0)
        self._client = client
        self._scheduler = scheduler
        self._run = uuid.uuid4().hex  # on the workers, other runs use other processes
        self._unfit: set[str] = set()
        self._looked = float("-inf")
        self._workers: dict[str, Any] = {}

    @property
    def slots(self) -> int:
        self._look()
        fit = [worker for address, worker in self._workers.items() if address not in self._unfit]
        if self._workers and not fit:
            raise WorkersLost(f"no worker of the dask scheduler at {self._scheduler!r} can run the tasks; {KEPT}")
        return sum(worker["nthreads"] for worker in fit)

    def check(self) -> None:
        """Raise WorkersLost when the scheduler is gone; waits while the client tries to reach it again."""
        end = time.monotonic() + 2 * PATIENCE
        while self._client.status == "connecting" and time.monotonic() < end:
            time.sleep(A_MOMENT)
        if self._client.status in ("closing", "closed"):
            raise WorkersLost(_gone(self._scheduler))

    def _look(self) -> None:
        """Ask the scheduler for its workers, from time to time."""
        self.check()
        if time.monotonic() < self._looked + LOOK:
            return
        self._looked = time.monotonic()
        if self._client.status != "running":  # the client tries to reach the scheduler again
            self._workers = {}
            return
        with suppress(OSError, TimeoutError):  # the connection was lost just now
            self._workers = dict(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, needs: Needs, function: Callable[..., Any], *args: Any) -> Future[Any]:
        only = [address for address in self._workers if address not in self._unfit] if self._unfit else None
        how: dict[str, Any] = {"resources": self._resources(needs), "workers": only}
        future = self.executor.submit(_run_here, self._run, function, args, **how)
        future.add_done_callback(self._note_unfit)
        return future

    def _resources(self, needs: Needs) -> dict[str, float]:
        """What dask is asked for: GPUs, and of cores and memory what any worker says that it has."""
        declared = {name for worker in self._workers.values() for name in worker["resources"]}
        wanted = {GPU: needs.gpus, CORES: needs.cores, MEMORY: (needs.memory_gb or 0) * 1e9}
        return {name: amount for name, amount in wanted.items() if amount and (name == GPU or name in declared)}

    def _note_unfit(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, UnfitWorker):
            self._unfit.add(error.worker)


async def _look_apart(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a new process on this worker, which goes on meanwhile."""
    import asyncio  # slow to import, and `lesionbench plugins` needs none of it

    return await asyncio.to_thread(_in_new_process, function, *args)


def _in_new_process(function: Callable[..., Any], *args: Any) -> Any:
    kept = KeptProcess()
    keep_in_thread(kept)
    try:
        return run_apart(function, *args)
    finally:
        kept.stop()


_here = threading.local()  # of every thread of a worker: the process it keeps, and the run that this is for


def _run_here(run: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run a function on this worker and return its result; stop it when the run cancels it or is gone."""
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()
    kept = _process_for(run)
    ended = threading.Event()
    threading.Thread(target=_stop_when_unwanted, args=(worker, key, kept, ended), daemon=True).start()
    try:
        return function(*args)
    except UnfitWorker as error:
        raise UnfitWorker(str(error), worker.address) from None
    finally:
        ended.set()


def _process_for(run: str) -> KeptProcess:
    """The process of this thread; one that served another run may have imported code that was edited since."""
    if getattr(_here, "run", None) != run or _here.kept.is_stopped:
        if hasattr(_here, "kept"):
            _here.kept.stop()
        _here.run, _here.kept = run, KeptProcess()
        keep_in_thread(_here.kept)
    kept: KeptProcess = _here.kept
    return kept


def _stop_when_unwanted(worker: Any, key: Any, kept: KeptProcess, ended: threading.Event) -> None:
    while not ended.wait(LOOK):
        task = worker.state.tasks.get(key)
        if task is None or task.state != "executing":
            kept.stop()
            return
