"""What executors promise: tasks run, and how they end comes back, whatever happens to them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lesionbench.testing.require import require
from lesionbench.workers.apart import Died, Limits, OutOfTime, run_apart
from lesionbench.workers.executors import Needs, Opening, UnfitWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lesionbench.workers.executors import Executor, Workers

PATIENCE = 3600.0  # seconds for one task: a cluster may let it wait
VALUE = (Needs(2, 0.5), Path("a") / "b", b"\x00", 0.1, None)


def check_it_has_room_for_a_task(executor: Executor) -> None:
    with _opened(executor) as workers:
        require(workers.slots >= 1, f"{workers.slots} tasks run at a time; start a worker, or mend `Workers.slots`")


def check_a_result_comes_back_as_it_was(executor: Executor) -> None:
    with _opened(executor) as workers:
        found = _ended(workers, _give_back, VALUE)
    require(repr(found) == repr(VALUE), f"a task returned {VALUE!r}, and {found!r} came back")


def check_an_error_comes_back_as_it_was(executor: Executor) -> None:
    with _opened(executor) as workers:
        for error in (ValueError("on purpose"), UnfitWorker("on purpose")):
            found = _ended(workers, _fail, error)
            same = type(found) is type(error) and "on purpose" in str(found)
            require(same, f"a task raised {error!r}, and {found!r} came back")


def check_a_task_runs_in_a_process_of_its_own(executor: Executor) -> None:
    with _opened(executor) as workers:
        found = _ended(workers, run_apart, os.getpid)
    require(isinstance(found, int), f"a task could not start a process: {found!r}; allow workers to have children")
    require(found != os.getpid(), "a task ran in the process that started it")


def check_a_killed_task_is_told_and_the_next_one_runs(executor: Executor) -> None:
    with _opened(executor) as workers:
        found = _ended(workers, run_apart, _kill_itself)
        after = _ended(workers, _give_back, VALUE)
    require(found == Died(signal=signal.SIGKILL), f"a task was killed by SIGKILL, and {found!r} came back")
    require(repr(after) == repr(VALUE), f"after a task that was killed, {after!r} came back of the next one")


def check_a_task_that_takes_too_long_is_ended(executor: Executor) -> None:
    with _opened(executor) as workers:
        found = _ended(workers, _sleep_too_long)
    require(isinstance(found, OutOfTime), f"a task took longer than its limit, and {found!r} came back")


@contextmanager
def _opened(executor: Executor) -> Iterator[Workers]:
    """The workers, as a run opens them; their files go into the working folder, which a cluster sees."""
    with (
        TemporaryDirectory(prefix=".lesionbench-check-", dir=Path.cwd()) as folder,
        executor.open(Opening(1, "cpu", Path(folder))) as workers,
    ):
        yield workers


def _ended(workers: Workers, function: Callable[..., Any], *args: Any) -> Any:
    """What one task returned or raised."""
    future = workers.submit(Needs(), function, *args)
    return future.exception(PATIENCE) or future.result()


def _give_back(value: Any) -> Any:
    return value


def _fail(error: Exception) -> None:
    raise error


def _kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep_too_long() -> Any:
    return run_apart(time.sleep, PATIENCE, limits=Limits(seconds=1.0))
