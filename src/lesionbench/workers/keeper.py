"""The keeper of one worker process: the worker ends with the process that started it, and everything it started too.

This file is run as a program of its own, with the standard library alone: `python -I -S keeper.py COMMAND`. It
starts the command, and ends when the command has ended, when it gets SIGTERM, or when its parent has gone.
Before it ends, it kills every process that came of the command. It ends in the way the command ended.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2), which only Linux has
RESULTS = 1  # the pipe to the process that started this one; an error on it says that its reader has gone
LOOK = 1.0  # seconds between two looks at who the parent is
PATIENCE = 4.0  # seconds until processes that cannot be killed are left alone


def main(command: list[str]) -> None:
    """Run a command and end as it ended, leaving no process behind."""
    parent = os.getppid()
    adopt_orphans()
    woken = _wake_on(signal.SIGCHLD, signal.SIGTERM)
    worker = _start(command)
    status = _wait(worker, parent, woken)
    kill_all(worker)
    _end_like(status)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, on Linux."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent, which has this number, ends; on Linux."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _wake_on(*signals: signal.Signals) -> int:
    """The file descriptor that can be read as soon as one of these signals arrives; others are ignored."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for one in signals:
        signal.signal(one, lambda *_: None)
    return woken


def _start(command: list[str]) -> int:
    """Start the command in a session of its own; its standard input is no longer this process's."""
    keeper = os.getpid()
    worker = os.fork()
    if worker == 0:
        die_with_parent(keeper)
        os.setsid()
        for one in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_DFL)
        os.execv(command[0], command)  # noqa: S606  # no shell is wanted
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    return worker


def _wait(worker: int, parent: int, woken: int) -> int | None:
    """The status with which the worker ended; None when it has to be ended."""
    poll = select.poll()
    poll.register(RESULTS, 0)
    poll.register(woken, select.POLLIN)
    while os.getppid() == parent:
        events = dict(poll.poll(LOOK * 1000))
        if RESULTS in events or (woken in events and signal.SIGTERM in os.read(woken, 100)):
            return None
        found, status = os.waitpid(worker, os.WNOHANG)
        if found:
            return status
        _reap(worker)
    return None


def _reap(worker: int) -> None:
    """Forget orphans that have ended; the worker's status is kept for `_wait`."""
    for pid in children(os.getpid()):
        if pid != worker:
            os.waitpid(pid, os.WNOHANG)


def kill_all(worker: int) -> None:
    """Kill the worker's process group and all that is left of its descendants, until there are none."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for kill, pid in [(os.killpg, worker), *((os.kill, pid) for pid in children(os.getpid()))]:
            with suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def children(of: int) -> list[int]:
    """The processes that a process started and that still exist, as far as the system tells."""
    found: list[int] = []
    for file in Path(f"/proc/{of}/task").glob("*/children"):
        try:
            found += map(int, file.read_text(encoding="ascii").split())
        except OSError:  # the thread ended meanwhile
            continue
    return found


def _end_like(status: int | None) -> None:
    """End with the exit code or the signal with which the worker ended, without a second memory dump."""
    number = signal.SIGKILL if status is None else os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if number is None:
        os._exit(os.WEXITSTATUS(status or 0))
    import resource  # Windows lacks it, and there this file is only imported

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    main(sys.argv[1:])
