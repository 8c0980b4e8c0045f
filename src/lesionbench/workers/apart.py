"""Running a task in a process of its own, watched: whatever happens to it is a result.

Every thread that calls `run_apart` keeps one worker process, which runs each task in a fresh copy of itself. So tasks
never share a process, and none meets what another one did to its own: environment, limits, threads, random state.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from lesionbench.workers import keeper
from lesionbench.workers.child import CANNOT_ANSWER, Ended, Gone, Raised, Taken, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from lesionbench.workers.child import main; main()"
)
LOOK = 0.25  # seconds between two looks at the cancel file and at what was printed
LONGEST_LOG = 10_000_000  # bytes that a task may print; of more, the first tenth is kept
SLOWEST_START = 300.0  # seconds until a new process must have begun with its task
SLOWEST_END = 6.0  # seconds until a process that is ended must be gone


@dataclass(frozen=True)
class Limits:
    """What a task must keep to, and its two files."""

    seconds: float | None = None  # it ends OutOfTime when it takes longer
    cancel: Path | None = None  # it ends Cancelled as soon as this file exists, and the file is removed
    log: Path | None = None  # what it prints, also from libraries in C and from processes that it starts


@dataclass(frozen=True)
class Died:
    """The process of a task ended before the task did: by a signal, or with an exit code."""

    signal: int | None = None
    code: int | None = None

    @property
    def from_outside(self) -> bool:
        """Whether somebody else may have ended it: a person, or the system when memory ran out."""
        return self.signal in (signal.SIGKILL, signal.SIGTERM, getattr(signal, "SIGHUP", None))

    def __str__(self) -> str:
        if self.code == CANNOT_ANSWER:
            return "it closed the files that its process answers through"
        if self.signal is None:
            return f"it ended its process with exit status {self.code}"
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        return f"its process was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


@dataclass(frozen=True)
class OutOfTime:
    """A task took longer than it may."""

    seconds: float

    def __str__(self) -> str:
        return f"it took longer than its limit of {self.seconds:g} s"


@dataclass(frozen=True)
class Cancelled:
    """A task was stopped because somebody asked for it."""

    def __str__(self) -> str:
        return "cancelled by lesionbench cancel"


class Stopped(Exception):
    """Raised instead of a result when the process that ran a task was stopped with everything else."""


Result = bytes | Raised | Died | OutOfTime | Cancelled  # bytes: the pickle of what a task returned


def run_apart(
    function: Callable[..., Any],
    *args: Any,
    limits: Limits | None = None,
    prepare: Callable[[], object] | None = None,
) -> Any:
    """What a function returns when it is run in another process, or Raised, Died, OutOfTime or Cancelled.

    function, args, and what it returns: anything that can be pickled; the function is imported there by its name.
    prepare: what the worker calls once before it copies itself for tasks, to spare each of them the time it takes.
    Raises what pickling the function or its arguments raises, and Stopped when the thread's process was stopped.
    """
    limits = limits or Limits()
    ready = None if prepare is None else pickle.dumps(prepare)
    task = Task(pickle.dumps((function, args)), str(limits.log or os.devnull), ready, tuple(_libraries))
    result = _kept().run(task, limits)
    return pickle.loads(result) if isinstance(result, bytes) else result  # noqa: S301  # our own process wrote it


_here = threading.local()
_libraries: dict[str, None] = {}  # the library modules that tasks of this process imported, in their order


def _kept() -> KeptProcess:
    if not hasattr(_here, "kept"):
        _here.kept = KeptProcess()
    kept: KeptProcess = _here.kept
    return kept


def keep_in_thread(kept: KeptProcess) -> None:
    """Let `run_apart` use this process in the calling thread."""
    _here.kept = kept


@dataclass
class KeptProcess:
    """The process that one thread keeps for its tasks; another thread may stop it for good."""

    _process: _Process | None = None
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, task: Task, limits: Limits) -> Result:
        """Run one task; a process that was kept may have ended meanwhile, and then a new one is started.

        Raises Stopped if another thread stopped it: then nothing is known of the task.
        """
        result: Result | None = None
        for _ in range(2):
            process = self._ready()
            if process is None:
                raise Stopped
            try:
                result, is_of_use = process.run(task, limits)
            except BaseException:  # Ctrl-C while the task runs
                self._drop()
                raise
            if not is_of_use:
                self._drop()
            if result is not None:
                break
        if self._stopped:
            raise Stopped
        assert result is not None  # a process that was started just now says why it ended
        return result

    @property
    def is_stopped(self) -> bool:
        """Whether another thread stopped it for good."""
        return self._stopped

    def stop(self) -> None:
        """End the process, and what runs in it, and start no other."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.end()

    def _ready(self) -> _Process | None:
        with self._lock:
            if self._stopped:
                return None
            self._process = self._process or _Process()
            return self._process

    def _drop(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end()


def kept_memory(library: str, version: str) -> dict[str, str]:
    """Environment variables with which the C library keeps the memory that a training step frees.

    Otherwise it gives it back to the system, and the next step fetches it again, page by page. How much depends on what
    else the process holds: in a bare loop 6,000 pages and a quarter of kth-cnn's step, inside a fit between nothing and
    a sixth. Only glibc reads the variables.
    """
    if library != "glibc":
        return {}
    # Older releases ignore a threshold above 32 MB. The other variable would then fix it at 128 kB: worse than neither.
    any_size = [int(number) for number in version.split(".")] >= [2, 36]
    threshold = 2**30 if any_size else 2**25
    return {"MALLOC_MMAP_THRESHOLD_": f"{threshold}", "MALLOC_TRIM_THRESHOLD_": f"{2**40}"}


class _Process:
    """A worker process and its keeper."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # what it says before its first task
        self._popen = subprocess.Popen(  # noqa: S603  # our own program
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={
                **kept_memory(*platform.libc_ver()),
                **os.environ,
                **ONE_THREAD,
            },  # read as a process starts, or imports numpy or torch
            start_new_session=True,  # Ctrl-C in the terminal is the business of the process that started this one
        )
        self._replies: queue.SimpleQueue[Taken | Ended | Gone | None] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(self._popen.stdout, self._replies), daemon=True).start()
        self._took_one = False
        self.end = weakref.finalize(self, _end, self._popen, self._errors, os.getpid())

    def run(self, task: Task, limits: Limits) -> tuple[Result | None, bool]:
        """How a task ended, and whether the worker is there for more; None when it had ended before the task came."""
        with suppress(OSError):  # it has ended, which is also what its reply says
            pickle.dump(task, self._popen.stdin)  # type: ignore[arg-type]  # it is a pipe
            self._popen.stdin.flush()  # type: ignore[union-attr]
        taken = self._reply(limits, SLOWEST_START)
        if isinstance(taken, OutOfTime):
            return Raised(f"a new process was not ready within {SLOWEST_START:g} s", ""), False
        if taken is None:
            return None if self._took_one else self._not_started(), False
        if not isinstance(taken, Taken):
            return taken, False
        self._took_one = True
        ended = self._reply(limits, limits.seconds)
        if limits.log is not None:
            _shorten(limits.log)
        if isinstance(ended, Gone):
            return _how(ended.status), True
        if not isinstance(ended, Ended):
            return self._died() if ended is None else ended, False
        _libraries.update(dict.fromkeys(ended.imported))
        return ended.value, isinstance(self._reply(Limits(), SLOWEST_END), Gone)

    def _reply(self, limits: Limits, seconds: float | None) -> Any:
        """The next message of the process; None when it has ended without one."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = LOOK if end is None else min(LOOK, end - time.monotonic())
            try:
                return self._replies.get(timeout=max(0.0, left))
            except queue.Empty:
                pass
            if end is not None and time.monotonic() >= end:
                return OutOfTime(seconds or 0.0)
            if limits.cancel is not None and limits.cancel.exists():
                limits.cancel.unlink(missing_ok=True)
                return Cancelled()
            if limits.log is not None:
                _shorten(limits.log)

    def _died(self) -> Died:
        """How the process ended."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(SLOWEST_END)
        self.end()
        status = self._popen.returncode or 0
        return Died(signal=-status) if status < 0 else Died(code=status)

    def _not_started(self) -> Raised | Died:
        """Why the process ended before its first task: the last line that it wrote, or how it died."""
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), None)
        return Raised(f"a new process could not start: {last}", "\n".join(said)) if last else self._died()


def _how(status: int) -> Died:
    """How a process died, from its status as os.waitpid gives it."""
    return Died(signal=os.WTERMSIG(status)) if os.WIFSIGNALED(status) else Died(code=os.WEXITSTATUS(status))


def _command() -> list[str]:
    """The command of a worker process, under its keeper where the system has what a keeper needs."""
    path = json.dumps([os.path.abspath(one) for one in sys.path])  # noqa: PTH100  # "" is the working folder
    worker = [sys.executable, "-c", PROGRAM, path]
    return worker if os.name == "nt" else [sys.executable, "-I", "-S", keeper.__file__, *worker]


def _listen(stream: BinaryIO, replies: queue.SimpleQueue[Taken | Ended | Gone | None]) -> None:
    """Pass on the messages of a process, and None when it has ended."""
    with stream:
        try:
            while True:
                replies.put(pickle.load(stream))  # noqa: S301  # our own process wrote it
        except Exception:  # the end, or half a message
            replies.put(None)


def _end(process: subprocess.Popen[bytes], errors: IO[bytes], owner: int) -> None:
    """End a worker's keeper, which ends the worker and everything that it started, and wait for that."""
    if os.getpid() != owner:  # a copy of the process that started it
        return
    process.terminate()
    try:
        process.wait(SLOWEST_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    errors.close()
    with suppress(OSError):  # of what was not sent yet
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe


def _shorten(log: Path) -> None:
    """Cut what a task printed when it is too long."""
    with suppress(OSError):  # nothing was printed yet
        if log.stat().st_size > LONGEST_LOG:
            os.truncate(log, LONGEST_LOG // 10)
