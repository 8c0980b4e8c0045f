"""The kinds of task: fit a part of an augmenter, make a pool, or run a cell; each runs in a process of its own."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lesionbench.errors import StoreError
from lesionbench.experiment.bench import LOGS, Bench
from lesionbench.experiment.cell import run_cell
from lesionbench.experiment.grid import Cell, PartJob, PoolJob
from lesionbench.experiment.needs import in_words
from lesionbench.experiment.output import SETTINGS
from lesionbench.experiment.pictures import draw_progress, draw_samples
from lesionbench.experiment.worker_check import differences, made_with, where
from lesionbench.plugins import installed
from lesionbench.store.addresses import local_folder, open_store
from lesionbench.store.whole_files import write_whole
from lesionbench.workers.apart import Died, Limits, run_apart
from lesionbench.workers.executors import UnfitWorker
from lesionbench.workers.raised import full_traceback, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.settings import Experiment

Task = Cell | PoolJob | PartJob
ERROR = "error.txt"
OUTPUT = "output.txt"
OF_A_POOL = f"its augmenter failed, see {LOGS}/"
LARGEST = 1_000_000  # bytes; of files that are sent to a run whose output folder is not here
RUNNING = ".running"  # the folder for what running tasks print, and for what asks them to stop


@dataclass(frozen=True)
class Outcome:
    """How a task ended: the error in one line or None, the plugins' log messages, and whether error.txt was written."""

    error: str | None
    messages: tuple[str, ...]
    logged: bool = False
    killed: bool = False  # its process was killed, perhaps from outside; it may succeed when it is run again
    lost: bool = False  # the executor did not bring a result; another worker may do so
    unsent: str | None = None  # why a result could not be sent to a store on another machine
    files: tuple[tuple[str, bytes], ...] = ()  # what it wrote where there is no output folder, by name in that folder


def do_apart(
    task: Task,
    prepared: Prepared,
    out: Path,
    own: bytes = b"",
    seconds: float | None = None,
    expected: dict[str, str] | None = None,
) -> Outcome:
    """Run one task in a process of its own and return how it ended; what it printed goes to the task's log.

    out: the output folder, absolute.  own: the plugin classes that no package brings, see `Plugins.own`.
    seconds: how long it may take.  expected: what the run is made with, see `made_with`.
    Raises UnfitWorker when that differs here, or when the folders are not here.
    """
    with _seen(out, prepared) as folder:
        with _its_files(task, folder) as (log, cancel):
            limits, ready = Limits(seconds, cancel, log), partial(prepare_worker, prepared.experiment, own)
            ended = run_apart(do, task, prepared, folder, own, expected, limits=limits, prepare=ready)
        if isinstance(ended, Unfit):
            raise UnfitWorker(ended.why)
        if not isinstance(ended, Outcome):
            killed = isinstance(ended, Died) and ended.from_outside
            ended = Outcome(f"{in_words(task)}: {ended}", (), killed=killed)
        return ended if folder == out else _from_elsewhere(ended, folder, prepared)


def _from_elsewhere(outcome: Outcome, folder: Path, prepared: Prepared) -> Outcome:
    """The outcome of a task without the output folder: with what it wrote, and failed if its result stays here."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size <= LARGEST]
    sent = replace(outcome, files=tuple((path.relative_to(folder).as_posix(), path.read_bytes()) for path in files))
    if outcome.error or not outcome.unsent:
        return sent
    try:
        open_store(prepared.store).settle()
    except StoreError as error:
        return replace(sent, error=f"{error.message}; the result waits on {where()} and is sent when a task runs there")
    return sent


def write_files(out: Path, outcome: Outcome) -> None:
    """Write into the output folder what a task wrote on a machine that does not see it."""
    for name, content in outcome.files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)


def prepare_worker(experiment: Experiment, own: bytes) -> None:
    """Load the plugins and torch and read their code, which takes seconds, once for all tasks of a worker process."""
    if "torch" in made_with(experiment, installed(own)):
        import torch  # noqa: F401  # for the tasks, which are copies of this process


@contextmanager
def _seen(out: Path, prepared: Prepared) -> Iterator[Path]:
    """The output folder; without a common disk, a folder for the logs of one task: a remote store keeps the results."""
    if (out / SETTINGS).exists():
        yield out
    elif local_folder(prepared.store) is not None:
        raise UnfitWorker(f"{out} cannot be seen from {where()}; every worker must see it under the same path")
    else:
        with TemporaryDirectory(prefix="lesionbench-") as folder:
            yield Path(folder)


@contextmanager
def _its_files(task: Task, out: Path) -> Iterator[tuple[Path, Path]]:
    """The files of a running task: what it prints, kept in its log in the end, and the file that cancels it."""
    log, cancel = task_files(task.name, out)
    cancel.unlink(missing_ok=True)
    _touch(log)
    try:
        yield log, cancel
    finally:
        cancel.unlink(missing_ok=True)
        if log.exists() and log.stat().st_size:
            (out / LOGS / task.name).mkdir(parents=True, exist_ok=True)
            log.replace(out / LOGS / task.name / OUTPUT)
        log.unlink(missing_ok=True)
        with suppress(OSError):  # other tasks run
            log.parent.rmdir()


def _touch(log: Path) -> None:
    """Make an empty file, and its folder, which another process whose task has ended may remove meanwhile."""
    while not log.exists():
        log.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            log.touch()


def task_files(name: str, out: Path) -> tuple[Path, Path]:
    """The two files of a running task: what it prints, there as long as it runs, and the file that cancels it."""
    return out / RUNNING / f"{name}.txt", out / RUNNING / f"{name}.cancel"


@dataclass(frozen=True)
class Unfit:
    """Why a process may not run a task."""

    why: str


def do(
    task: Task, prepared: Prepared, out: Path, own: bytes = b"", expected: dict[str, str] | None = None
) -> Outcome | Unfit:
    """Run one task in this process and return how it ended; an error and its traceback are also written to its log."""
    if expected is not None:
        differs = differences(made_with(prepared.experiment, installed(own)), expected)
        if differs:
            return Unfit(
                f"{'; '.join(differs)} (there is {where()}); install there what is installed here or, if a plugin or a "
                "library changed while this ran, run the same command again"
            )
    store = open_store(prepared.store)
    return _guarded(task, out / LOGS / task.name, lambda: _run(task, prepared, out, own), lambda: store.unsent)


def _run(task: Task, prepared: Prepared, out: Path, own: bytes) -> None:
    bench = Bench(prepared, installed(own), out / LOGS)
    if isinstance(task, Cell):
        if bench.is_kept(task):  # a worker died after it had kept them, or could not send them
            bench.settle(task)
        else:
            run_cell(task, bench)
    elif isinstance(task, PartJob):
        if bench.fit(task.whole) is None:  # else another run with the same store has made all of it meanwhile
            bench.part(task)
        return  # the pictures of the whole fit show all parts
    else:
        pool = bench.pool(task)
        if any(len(images) for images in pool.images):
            real = bench.fold(task.fold).train
            try_to_draw(lambda: draw_samples(out / "samples", task.name, real, pool))
    try_to_draw(lambda: draw_progress(bench.logs / task.name))


def try_to_draw(picture: Callable[[], None]) -> bool:
    """Draw a picture and return True; log a warning if that fails, and keep the result."""
    try:
        picture()
    except Exception as error:  # a missing font, a full disk, the plotting library
        logging.getLogger("lesionbench").warning("a picture could not be drawn (%s: %s)", type(error).__name__, error)
        return False
    return True


def _guarded(task: Task, folder: Path, work: Callable[[], None], unsent: Callable[[], str | None]) -> Outcome:
    said = _Messages()
    logger = logging.getLogger("lesionbench")
    logger.addHandler(said)
    logger.setLevel(logging.INFO)
    error = None
    try:
        work()
    except BaseException as raised:  # an error in a plugin, SystemExit too, fails its own cell only
        error = f"{in_words(task)}: {in_one_line(raised)}"
        _write_error(folder, error, full_traceback(raised))
    finally:
        logger.removeHandler(said)
    return Outcome(error, tuple(said.lines), logged=error is not None, unsent=unsent())


@dataclass(frozen=True)
class Logged:
    """Why a task failed when it was last tried: the cause in one line, and whether it is that of a pool it needs."""

    cause: str
    is_of_a_pool: bool


def log_error(out: Path, task: Task, error: str, needed: Task | None = None) -> None:
    """Write why a task failed, in one line, into its log; needed: the task that it needs and that failed."""
    _write_error(out / LOGS / task.name, error, f"{OF_A_POOL}{needed.name}" if needed else "")


def logged_error(out: Path, task: Task) -> Logged | None:
    """What a task's log says of its failure; None when it was never tried, or did not fail when it was last tried."""
    try:
        text = (out / LOGS / task.name / ERROR).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    cause, _, more = text.partition("\n")
    return Logged(cause, more.strip().startswith(OF_A_POOL))


def _write_error(folder: Path, error: str, more: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ERROR, f"{error}\n\n{more}".rstrip() + "\n")


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
