"""Executors: where tasks run, as classes of settings that give workers; the runner knows nothing else of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lesionbench.pipeline.context import Device
    from lesionbench.workers.local import Started


MOST_JOBS = 4096  # processes at a time
KEPT = "what is finished is kept, so the same command goes on with it later"


@dataclass(frozen=True)
class Needs:
    """What one task needs of the machine that it runs on."""

    cores: int = 1
    memory_gb: float | None = None  # gigabytes (10^9 bytes) at its peak; None: not known
    gpus: int = 0


@dataclass(frozen=True)
class Opening:
    """What an executor is told when a run opens it."""

    jobs: int | None  # the number of tasks at a time that the user asked for, if any
    device: Device
    folder: Path  # for the executor's own files; it need not exist yet
    started: Started | None = None  # processes of this machine that are ready for tasks already, if any


class Workers:
    """An executor of `concurrent.futures`, and the number of tasks it is given at the same time.

    memory_gb: what all tasks that run at the same time may need together; None: as much as they like.
    """

    def __init__(self, executor: concurrent.futures.Executor, slots: int, memory_gb: float | None = None) -> None:
        self.executor = executor
        self.memory_gb = memory_gb
        self._slots = slots

    @property
    def slots(self) -> int:
        """How many tasks run at the same time now; it may change while workers come and go.

        Raises WorkersLost when no task will ever run here again.
        """
        return self._slots

    def check(self) -> None:
        """Raise WorkersLost if no more tasks can run; the runner asks this when a result did not come back."""

    def submit(self, needs: Needs, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """The future of one task, which runs where it gets what it needs."""
        return self.executor.submit(function, *args)


class UnfitWorker(Exception):
    """Raised in a worker that may not run a task, such as one with other versions; the task is run on another."""

    def __init__(self, message: str, worker: str = "") -> None:
        super().__init__(message, worker)
        self.message = message
        self.worker = worker  # as the executor calls it, if it knows

    def __str__(self) -> str:
        return f"{self.message} ({self.worker})" if self.worker else self.message


class Executor(BaseModel, ABC):
    """Where tasks run: a class of settings, each with a default, and `open`, which gives workers.

    A package registers it under its name in the entry-point group `lesionbench.executors`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    is_here: ClassVar[bool] = False  # whether tasks run on this machine, so that a GPU must be here
    is_standing: ClassVar[bool] = False  # whether its workers are there before a run opens it

    def check(self, needs: Needs) -> None:
        """Raise SettingsError when it cannot be used, or has no worker with what a task needs.

        Called before anything is written.
        """

    def everywhere(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """What a function returns, or the exception it raises, on every worker, by its name.

        Called before anything is written, of an executor that is standing.
        """
        return {}

    @abstractmethod
    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        """The workers, for as long as the context lasts; tasks that still run at its end are stopped."""
