"""Executors: where tasks run, as classes of settings that give workers; the runner knows nothing else of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lesionbench.pipeline.context import Device


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


class Workers:
    """An executor of `concurrent.futures`, and the number of tasks it is given at the same time."""

    def __init__(self, executor: concurrent.futures.Executor, slots: int) -> None:
        self.executor = executor
        self._slots = slots

    @property
    def slots(self) -> int:
        """How many tasks run at the same time now; it may change while workers come and go.

        Raises WorkersLost when no task will ever run here again.
        """
        return self._slots

    def submit(self, needs: Needs, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """The future of one task, which runs where it gets what it needs."""
        return self.executor.submit(function, *args)


class Executor(BaseModel, ABC):
    """Where tasks run: a class of settings, each with a default, and `open`, which gives workers.

    A package registers it under its name in the entry-point group `lesionbench.executors`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def everywhere(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """What a function returns, or the exception it raises, on every worker that is there already, by its name.

        Called before anything is written; raises SettingsError when this executor cannot be used.
        """
        return {}

    @abstractmethod
    def open(self, opening: Opening) -> AbstractContextManager[Workers]:
        """The workers, for as long as the context lasts; tasks that still run at its end are stopped."""
