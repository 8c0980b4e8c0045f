"""Giving one input to the command line or to a function, and saying which promise was broken."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, event, settings

from lesionbench.cli.main import main
from lesionbench.errors import InputError

INPUTS = int(os.environ.get("LESIONBENCH_FUZZ", "2000"))  # of all tests together
LONGEST = 5.0  # seconds of the processor
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def inputs(share: float) -> settings:
    """The settings of a test that gets this share of all inputs; the same ones every time."""
    return settings(
        max_examples=max(1, round(share * INPUTS)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder, with its size and the time of its last change."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = f"{parent}/{name}"
            about = os.lstat(path)
            found[path] = (about.st_size, about.st_mtime_ns)
    return found


def command(cwd: Path, *arguments: object) -> int:
    """Run a command line in a folder, and return its exit status; raises AssertionError when a promise is broken."""
    before = state(cwd)
    start = time.process_time()
    with in_folder(cwd), captured(["lesionbench", *map(str, arguments)]) as (out, errors):
        try:
            main()
            status: object = 0
        except SystemExit as ended:
            status = ended.code or 0
    spent = time.process_time() - start
    said = "".join(stream.buffer.getvalue().decode("utf-8") for stream in (out, errors))  # type: ignore[attr-defined]
    event(f"status {status}")  # counted with --hypothesis-show-statistics
    assert status in (0, 1, 2), f"status {status}"
    assert "Traceback" not in said, said
    assert not CONTROL.search(said), repr(said)
    assert spent < LONGEST, f"{spent:.1f} s"
    if status == 2:
        assert said.strip(), "no message"
        assert state(cwd) == before, "something was written before the message"
    return int(str(status))


def call(function: Callable[[], object]) -> bool:
    """Whether a function of the Python API accepts its input; a refusal must be an InputError, and quick."""
    start = time.process_time()
    try:
        function()
    except InputError:
        event("refused")
        return False
    finally:
        assert time.process_time() - start < LONGEST
    return True


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def captured(arguments: list[str]) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    before = sys.stdout, sys.stderr, sys.argv
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    sys.argv = arguments
    try:
        yield sys.stdout, sys.stderr  # type: ignore[misc]  # what was just made
    finally:
        sys.stdout, sys.stderr, sys.argv = before
