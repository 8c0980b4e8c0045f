"""The `lesionbench` command and `python -m lesionbench`: what must stand before half a second of imports begins."""

import os
import signal
import sys
from types import FrameType

STOPPED = "\nlesionbench: stopped\n"


def main() -> None:
    """Run the command line; Ctrl-C ends the process at once while nothing has begun, and after everything is done."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a signal that is ignored stays ignored
    if heeded:
        signal.signal(signal.SIGINT, _end_at_once)  # no exception: libraries that are imported print or hide it
    from lesionbench.cli.main import main as command_line

    try:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line()
    except KeyboardInterrupt:  # just before the command handles it, or just after
        sys.stderr.write(STOPPED)
        sys.exit(128 + signal.SIGINT)
    finally:
        if heeded:
            signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of a handler
    os.write(2, STOPPED.encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
