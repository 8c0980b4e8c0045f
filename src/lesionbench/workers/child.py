"""What a worker process does: it forks for every task, so that every task starts in the same fresh process.

A worker imports what tasks need and runs none itself. For a task it forks: the copy runs the task and ends, and with it
ends whatever the task did to its process: environment, working folder, limits, signal handlers, threads, random state,
replaced functions. Where a process cannot be copied safely, because it has several threads or the system has no such
call, the worker runs one task itself and ends.

Tasks arrive on the standard input and results leave on the standard output, as pickles. Both are moved away first. So a
task finds nothing to read, and whatever it prints, also from libraries in C and in processes that it starts, goes into
its own file.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import pickle
import select
import signal
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lesionbench.workers.keeper import adopt_orphans, die_with_parent, kill_all
from lesionbench.workers.raised import full_traceback, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE = 60.0  # seconds without a task after which a worker ends, so that it holds no memory for nobody
CANNOT_ANSWER = 75  # the exit code of a process whose task closed the pipe for results


@dataclass(frozen=True)
class Task:
    """A function with its arguments as a pickle, and what has to be ready before."""

    call: bytes
    log: str  # the file for what it prints
    prepare: bytes | None  # a pickled function that the worker calls before it copies itself
    libraries: tuple[str, ...]  # modules that earlier tasks imported, which the worker imports first


@dataclass(frozen=True)
class Taken:
    """A task begins."""


@dataclass(frozen=True)
class Raised:
    """A task raised an exception: in one line, and with its traceback."""

    error: str
    traceback: str

    def __str__(self) -> str:
        return self.error


@dataclass(frozen=True)
class Ended:
    """A task ended: its pickled value or what it raised, and the library modules that it imported."""

    value: bytes | Raised
    imported: tuple[str, ...]


@dataclass(frozen=True)
class Gone:
    """The process of a task has gone, and every process that it started; with its status as os.waitpid gives it."""

    status: int


def main() -> None:
    """Have tasks done, one after the other, until there are no more."""
    tasks, results = _take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops a run stops its workers
    adopt_orphans()
    _plugin_modules()  # found once, and known to every copy
    prepared: set[bytes] = set()
    while _waits(tasks):
        try:
            task = pickle.load(tasks)  # noqa: S301  # our own parent wrote it
        except EOFError:
            return
        _print_into(task.log)
        _prepare(task, prepared)
        _send(results, Taken())
        if not _can_be_copied():
            _do(task, results)
            return
        _send(results, Gone(_do_in_copy(task, results)))


def _prepare(task: Task, prepared: set[bytes]) -> None:
    """Import and call what the task needs; what cannot be prepared fails again in the task, which then says so."""
    for name in task.libraries:
        if name not in sys.modules:
            with suppress(BaseException):
                importlib.import_module(name)
    if task.prepare is not None and task.prepare not in prepared:
        with suppress(BaseException):
            pickle.loads(task.prepare)()  # noqa: S301  # our own parent wrote it
        prepared.add(task.prepare)


def _can_be_copied() -> bool:
    """Whether this process has one thread, and a system that can copy it: locks of other threads would stay locked."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208  # the quickest way


def _do_in_copy(task: Task, results: BinaryIO) -> int:
    """Run a task in a copy of this process; return how the copy ended, once all that it started has ended too."""
    worker = os.getpid()
    gc.freeze()  # so that a collection in the copy touches, and thereby copies, no page of this process
    copy = os.fork()
    if copy == 0:
        try:
            die_with_parent(worker)
            os.setsid()
            _do(task, results)
        finally:
            os._exit(0)
    _, status = os.waitpid(copy, 0)
    kill_all(copy)
    return status


def _do(task: Task, results: BinaryIO) -> None:
    """Run a task in this process and send how it ended."""
    before = set(sys.modules)
    call = _unpickled(task.call)
    value = call if isinstance(call, Raised) else _value(*call)
    imported = tuple(name for name in list(sys.modules) if name not in before and _is_library(name))
    _send(results, Ended(value, imported))


def _is_library(name: str) -> bool:
    """Whether a module is of Python, of lesionbench or of an installed library that brings no plugins."""
    top = name.partition(".")[0]
    if top == "__main__" or top in _plugin_modules():
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    here = isinstance(file, str) and any(Path(file).is_relative_to(folder) for folder in _library_folders())
    return here or top in ("lesionbench", *sys.stdlib_module_names)


@cache
def _library_folders() -> tuple[str, ...]:
    return tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))


@cache
def _plugin_modules() -> frozenset[str]:
    return frozenset(entry.module.partition(".")[0] for entry in entry_points(group="lesionbench"))


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes for tasks and results; in their place stand an empty file and standard error."""
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
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


def _send(results: BinaryIO, message: Taken | Ended | Gone) -> None:
    """Send a message; a process that cannot is of no use."""
    try:
        results.write(pickle.dumps(message))
        results.flush()
    except BaseException:
        os._exit(CANNOT_ANSWER)
