"""Owners: which process a draft or a claim belongs to, and whether that process lives.

A process of this machine is looked up by its number and the moment at which it started, which setting a clock does not
change. A process of another machine shows that it lives by touching a file every ten seconds; whoever waits for it
looks for a change, and compares no clocks.
"""

from __future__ import annotations

import json
import os
import re
import secrets
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

from lesionbench.store.digests import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BEAT = 10.0  # seconds between two touches
SILENT = 60.0  # seconds without a touch after which a process of another machine counts as dead
PROC = Path("/proc")
UNKNOWN = "unknown"  # a machine whose processes cannot be looked up
SOME_TIME = "0"  # when a process started, where the system does not say
TOKEN = re.compile(r"\w+-\d+-\d+-[0-9a-f]{16}")


@dataclass(frozen=True)
class Owner:
    """A process that holds something.

    token: `MACHINE-PID-STARTED-RANDOM`; the last part tells two things of one process apart.
    host, since: for people to read; nothing is decided from them. since: seconds since the epoch.
    """

    token: str
    host: str = ""
    since: float = 0.0

    @property
    def is_here(self) -> bool:
        """Whether the process is on this machine, where it can be looked up."""
        return self.token.partition("-")[0] == this_machine() != UNKNOWN

    @property
    def is_dead(self) -> bool:
        """Whether it is certain that the process has ended; of a process on another machine it never is."""
        _, pid, started, _ = self.token.split("-")
        return self.is_here and _started(int(pid)) != started

    def as_text(self) -> str:
        """The JSON that `read_owner` reads."""
        return json.dumps(asdict(self))


def this_process() -> Owner:
    """An owner record of this process, with a token of its own."""
    pid = os.getpid()
    token = f"{this_machine()}-{pid}-{_started(pid)}-{secrets.token_hex(8)}"
    return Owner(token, socket.gethostname(), time.time())


def read_owner(text: str) -> Owner | None:
    """The owner in a text; None if it is not a whole record."""
    try:
        found = Owner(**json.loads(text))
        return found if TOKEN.fullmatch(found.token) else None
    except (ValueError, TypeError, RecursionError):
        return None


@cache
def this_machine() -> str:
    """What tells this machine, since it was started, from every other; UNKNOWN where processes cannot be looked up.

    Containers may share a name and still not see each other's processes, so their process namespace counts.
    """
    if sys.platform == "win32":
        return UNKNOWN
    try:
        boot = (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        return key_of([socket.gethostname(), boot, str((PROC / "self" / "ns" / "pid").readlink())])[:12]
    except OSError:  # macOS
        return key_of([socket.gethostname(), uuid.getnode()])[:12]


def _started(pid: int) -> str | None:
    """When a process of this machine started, as the system counts it; None if there is no such process."""
    if sys.platform == "win32":
        return SOME_TIME
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
        return SOME_TIME
    return SOME_TIME


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
