"""What a worker process does: it takes one task after the other and says how each ended.

Tasks arrive on the process's standard input and results leave on its standard output, as pickles. Both are moved away
first, so that a task finds nothing to read, and whatever it prints, also from libraries in C and in processes that it
starts, goes into the task's own file.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import select
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from lesionbench.workers.process_state import ProcessState, changes, stop_timers
from lesionbench.workers.raised import full_traceback, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE = 60.0  # seconds without a task after which a process ends, so that it holds no memory for nobody
CANNOT_ANSWER = 75  # the exit code of a process whose task closed the pipe for results


@dataclass(frozen=True)
class Task:
    """A function with its arguments as a pickle, and the file for what it prints."""

    call: bytes
    log: str


@dataclass(frozen=True)
class Taken:
    """The process has begun with its task."""


@dataclass(frozen=True)
class Raised:
    """A task raised an exception: in one line, and with its traceback."""

    error: str
    traceback: str

    def __str__(self) -> str:
        return self.error


@dataclass(frozen=True)
class Ended:
    """A task ended: its pickled value, or what it raised, and what it changed about its process."""

    value: bytes | Raised
    changed: tuple[str, ...]


def main() -> None:
    """Do tasks until there are no more, or until one has changed this process."""
    tasks, results = _take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops a run stops its workers
    state: ProcessState | None = None
    while _waits(tasks):
        try:
            task = pickle.load(tasks)  # noqa: S301  # our own parent wrote it
        except EOFError:
            return
        _send(results, Taken())
        _print_into(task.log)
        call = _unpickled(task.call)
        before = state or ProcessState.now()
        value = call if isinstance(call, Raised) else _value(*call)
        state = ProcessState.now()
        changed = changes(before, state)
        stop_timers()
        _send(results, Ended(value, changed))
        if changed:
            return


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes for tasks and results; in their place stand an empty file and standard error."""
    tasks, results = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    return tasks, results


def _waits(tasks: BinaryIO) -> bool:
    """Wait for the next task; False when there has been none for long."""
    return os.name == "nt" or bool(select.select([tasks], [], [], IDLE)[0])


def _print_into(log: str) -> None:
    """Let standard output and standard error go into a file; where it cannot be opened, into nothing."""
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    except OSError:
        file = os.open(os.devnull, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _unpickled(call: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]] | Raised:
    try:
        function, args = pickle.loads(call)  # noqa: S301  # our own parent wrote it
    except BaseException as error:  # whatever the modules raise that are imported for it
        return _raised(error)
    return function, args


def _value(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes | Raised:
    """What the function returns, pickled, or what it raises, SystemExit and KeyboardInterrupt included."""
    try:
        return pickle.dumps(function(*args))
    except BaseException as error:
        return _raised(error)


def _raised(error: BaseException) -> Raised:
    return Raised(in_one_line(error), full_traceback(error))


def _send(results: BinaryIO, message: Taken | Ended) -> None:
    """Send a message; a process that cannot is of no use."""
    try:
        pickle.dump(message, results)
        results.flush()
    except BaseException:
        os._exit(CANNOT_ANSWER)
