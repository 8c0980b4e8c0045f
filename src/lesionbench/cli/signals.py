"""Signals that end a command: it ends as with Ctrl-C, and its exit status names the signal."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from lesionbench.plain_text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 128 + signal.SIGINT
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """A block that SIGTERM and SIGHUP end like Ctrl-C; the process then exits with 128 and the signal's number.

    A signal that the process ignores, as SIGHUP under nohup, stays ignored.
    """
    received: list[int] = []

    def stop(number: int, frame: object) -> None:  # noqa: ARG001  # the signature of a handler
        if not received:  # a second one does not disturb the end
            received.append(number)
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    taken = [one for one in ENDING if here and signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, stop)
    try:
        yield
    except SystemExit as ended:
        if received and ended.code == INTERRUPTED:
            sys.exit(128 + received[0])
        raise
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def end_stopped(kept: str, command: str) -> NoReturn:
    """Say what of a stopped command is kept and how to go on, and exit."""
    sys.stderr.write(visible(f"\nlesionbench: stopped; {kept}. To go on: {command}\n"))
    sys.exit(INTERRUPTED)
