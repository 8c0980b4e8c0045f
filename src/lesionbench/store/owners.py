"""Owners: which process a draft or a claim belongs to, and whether that process lives.

A process of this machine is looked up by its number and the moment at which it started, which setting a clock does not
change. A process of another machine shows that it lives by touching a file every ten seconds; whoever waits for it
looks for a change, and compares no clocks.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BEAT = 10.0  # seconds between two touches
SILENT = 60.0  # seconds without a touch after which a process of another machine counts as dead
PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process that holds something; `token` tells two things of one process apart."""

    machine: str  # empty where processes cannot be looked up
    host: str
    pid: int
    started: str
    token: str
    since: float  # seconds since the epoch, for people to read; nothing is decided from it

    @property
    def is_dead(self) -> bool:
        """Whether it is certain that the process has ended; of a process on another machine it never is."""
        return bool(self.machine) and self.machine == this_machine() and _started(self.pid) != self.started

    @property
    def is_here(self) -> bool:
        """Whether the process is on this machine, where it can be looked up."""
        return bool(self.machine) and self.machine == this_machine()

    def as_text(self) -> str:
        """The JSON that `read_owner` reads."""
        return json.dumps(asdict(self))


def this_process() -> Owner:
    """An owner record of this process, with a token of its own."""
    started = _started(os.getpid()) or ""
    return Owner(this_machine(), socket.gethostname(), os.getpid(), started, uuid.uuid4().hex, time.time())


def read_owner(text: str) -> Owner | None:
    """The owner in a text; None if it is not a whole record."""
    try:
        found = Owner(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found.pid, int) and isinstance(found.machine, str) else None


@cache
def this_machine() -> str:
    """What tells this machine, since it was started, from every other; empty where processes cannot be looked up.

    Containers may share a name and still not see each other's processes, so their process namespace counts.
    """
    if sys.platform == "win32":
        return ""
    try:
        boot = (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {(PROC / 'self' / 'ns' / 'pid').readlink()}"
    except OSError:  # macOS
        return f"{socket.gethostname()} {uuid.getnode()}"


def _started(pid: int) -> str | None:
    """When a process of this machine started, as the system counts it; None if there is no such process."""
    if not PROC.is_dir():
        return _started_unknown(pid)
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started  # a process that ended and that nobody waited for


def _started_unknown(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:  # another user's process
        return ""
    return ""


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """Touch a file every ten seconds while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(path, stop), name=f"heartbeat of {path.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        with suppress(OSError):  # a disk that is away for a moment, a claim that was taken over
            os.utime(path)
