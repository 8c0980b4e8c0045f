"""The executor `submitit`: every task is a SLURM job of its own, submitted with submitit.

submitit speaks of jobs, not of futures: a job's function and its result are files in a folder, which is watched here.
"""

from __future__ import annotations

import logging
import shutil
import threading
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lesionbench.errors import SettingsError, Try
from lesionbench.workers.executors import Executor, Needs, Opening, Workers
from lesionbench.workers.raised import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

LOOK = 1.0  # seconds between two looks at the files of the jobs


class Submitit(Executor):
    """SLURM jobs, one for each task, submitted with submitit from a login node."""

    cluster: Literal["slurm", "local"] = Field("slurm", description="local tries it without SLURM, on this machine")
    partition: str | None = Field(None, description="the partition of the jobs")
    account: str | None = Field(None, description="the account that the jobs are charged to")
    qos: str | None = Field(None, description="the quality of service of the jobs")
    constraint: str | None = Field(None, description="what the nodes must have, such as a kind of GPU")
    time: int = Field(240, ge=1, description="the longest time of a job in minutes")
    memory_gb: float | None = Field(None, gt=0, description="gigabytes for a task whose plugin does not say")
    jobs: int = Field(
        100, ge=1, description="jobs at a time, queued ones included, unless the run itself names a number"
    )

    def check(self, needs: Needs) -> None:
        try:
            import submitit  # noqa: F401  # whether it can be used
        except ImportError:
            raise SettingsError(
                "the executor submitit needs submitit; type: pip install 'lesionbench[submitit]'"
            ) from None
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise SettingsError(
                "the executor submitit needs SLURM, but there is no sbatch here; go to a login node",
                Try("or try it on this machine with {executor}", executor="submitit[cluster=local]"),
            )

    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        return self._open(opening)

    @contextmanager
    def _open(self, opening: Opening) -> Iterator[Workers]:
        from submitit import AutoExecutor

        logger = logging.getLogger("submitit")
        loud, logger.disabled = not logger.disabled, True
        folder = opening.folder / "submitit"
        jobs = Jobs(AutoExecutor(folder=folder, cluster=self.cluster), self, opening.jobs or self.jobs)
        try:
            yield jobs
        finally:
            jobs.end()
            logger.disabled = not loud
            with suppress(OSError):  # what submitit keeps of jobs that failed
                folder.rmdir()

    def parameters(self, needs: Needs) -> dict[str, Any]:
        """The parameters of the job of one task, as submitit calls them."""
        slurm = {name: getattr(self, name) for name in ("partition", "account", "qos", "constraint")}
        return {
            "name": "lesionbench",
            "timeout_min": self.time,
            "cpus_per_task": needs.cores,
            "mem_gb": needs.memory_gb or self.memory_gb,
            "gpus_per_node": needs.gpus,
            **{f"slurm_{name}": value for name, value in slurm.items()},
        }


class Jobs(Workers):
    """The jobs of a run, whose results a thread of this process looks for."""

    def __init__(self, executor: Any, settings: Submitit, slots: int) -> None:
        super().__init__(executor, slots)
        self._settings = settings
        self._jobs: dict[Future[Any], Any] = {}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def submit(self, needs: Needs, function: Callable[..., Any], *args: Any) -> Future[Any]:
        executor: Any = self.executor
        executor.update_parameters(**self._settings.parameters(needs))
        future: Future[Any] = Future()
        self._jobs[future] = executor.submit(Restartable(), function, *args)
        return future

    def end(self) -> None:
        """Cancel the jobs that still wait or run."""
        self._ended.set()
        self._watcher.join()
        for job in self._jobs.values():
            with suppress(Exception):  # it ended meanwhile, or SLURM does not answer
                job.cancel(check=False)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK):
            for future, job in list(self._jobs.items()):
                with suppress(Exception):  # SLURM or the disk does not answer: look again later
                    if job.done():
                        _settle(future, job)
                        del self._jobs[future]


def _settle(future: Future[Any], job: Any) -> None:
    """Give a future what its job returned or raised; a job that left no result is described in one line."""
    try:
        value, error = job.result()
    except Exception as failure:  # the job was cancelled, ran out of time, died, or SLURM refused it
        message = f"job {job.job_id} left no result, see {job.paths.stderr}: {in_one_line(failure)}"
        future.set_exception(RuntimeError(message))
        return
    _remove(job.paths)
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _remove(paths: Any) -> None:
    """Remove what submitit wrote for a job; of a job without a result it stays, to be read."""
    files: list[Path] = [paths.submitted_pickle, paths.result_pickle, paths.stdout, paths.stderr, paths.submission_file]
    for file in files:
        with suppress(OSError):  # the result is read
            file.unlink(missing_ok=True)


class Restartable:
    """A call that a job makes; one that was preempted or ran out of time is made again, in the same job."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> tuple[Any, Exception | None]:
        """What the function returns, and what it raises, which submitit would turn into text."""
        try:
            return function(*args), None
        except Exception as error:  # it is raised where the result is awaited
            return None, error

    def checkpoint(self, *args: Any) -> Any:
        """The same call once more; a fit goes on from its last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *args)
