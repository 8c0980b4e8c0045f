"""The two kinds of task for a worker process: make one pool, or run one cell."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lesionbench.errors import LesionbenchError
from lesionbench.experiment.bench import LOGS, Bench
from lesionbench.experiment.cell import run_cell
from lesionbench.experiment.grid import Cell, PoolJob
from lesionbench.experiment.pictures import draw_progress, draw_samples
from lesionbench.plugins import Plugins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lesionbench.experiment.prepare import Prepared

Task = Cell | PoolJob
ERROR = "error.txt"
OUTPUT = "output.txt"


@dataclass(frozen=True)
class Outcome:
    """How a task ended: the error in one line or None, the plugins' log messages, and whether error.txt was written."""

    error: str | None
    messages: tuple[str, ...]
    logged: bool = False


installed = cache(Plugins.load)  # the plugins, loaded once in each process


def do(task: Task, prepared: Prepared, out: Path, own: bytes = b"") -> Outcome:
    """Run one task and return how it ended; an error is also written, with its traceback, to the task's log.

    own: the plugin classes that no package brings, see `Plugins.own`.
    """
    return _guarded(out / LOGS / task.name, lambda: _run(task, prepared, out, own))


def _run(task: Task, prepared: Prepared, out: Path, own: bytes) -> None:
    bench = Bench(prepared, installed(own), out / LOGS)
    if isinstance(task, Cell):
        run_cell(task, bench)
    else:
        pool = bench.pool(task)
        if any(len(images) for images in pool.images):
            real = bench.fold(task.fold).train
            try_to_draw(lambda: draw_samples(out / "samples", task.name, real, pool))
    try_to_draw(lambda: draw_progress(bench.logs / task.name))


def try_to_draw(picture: Callable[[], None]) -> None:
    """Draw a picture; log a warning if that fails, and keep the result."""
    try:
        picture()
    except Exception as error:  # a missing font, a full disk, the plotting library
        logging.getLogger("lesionbench").warning("a picture could not be drawn (%s: %s)", type(error).__name__, error)


def _guarded(folder: Path, work: Callable[[], None]) -> Outcome:
    said = _Messages()
    logger = logging.getLogger("lesionbench")
    logger.addHandler(said)
    logger.setLevel(logging.INFO)
    printed = io.StringIO()
    error = None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            work()
    except Exception as raised:  # an error in a plugin fails its own cell only
        error = str(raised) if isinstance(raised, LesionbenchError) else f"{type(raised).__name__}: {raised}"
        error = " ".join(error.split())[:500]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ERROR).write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        logger.removeHandler(said)
    if printed.getvalue():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OUTPUT).write_text(printed.getvalue(), encoding="utf-8")
    return Outcome(error, tuple(said.lines), logged=error is not None)


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
