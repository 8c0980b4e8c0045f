"""The progress of a run: a live view in a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from lesionbench.experiment.grid import Cell, PartJob
from lesionbench.plain_text import visible
from lesionbench.report.console import say

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.runner import Running, View
    from lesionbench.experiment.tasks import Outcome, Task

NOTEBOOK_EVERY = 1.0  # seconds between two drawings in a notebook
PLAIN_EVERY = 30.0  # seconds between two reports of what is running, where nothing can be redrawn


def choose_view(quiet: bool) -> QuietView | PlainView | LiveView:
    """The view that fits the notebook, the terminal or the file that is written to."""
    if quiet:
        return QuietView()
    if Console().is_jupyter:
        return NotebookView()
    return LiveView() if sys.stdout.isatty() else PlainView()


def task_title(task: Task) -> str:
    """A task in words: `fit dcgan, malignant, fold 0, seed 1` or `kth-cnn on dcgan 480, fold 0, seed 1`."""
    where = f"fold {task.fold}, seed {task.seed}"
    if isinstance(task, Cell):
        dose = f" {task.arm.synthetic_per_class}" if task.pools else ""
        changed = f" with {task.arm.on_the_fly} on the fly" if task.on_the_fly else ""
        return f"{task.arm.classifier} on {task.arm.augmenter}{dose}{changed}, {where}"
    job, part = (task.whole, f", {task.title}") if isinstance(task, PartJob) else (task, "")
    after = "".join(f" after {draw.augmenter} {draw.per_class}" for draw in job.before)
    return f"fit {job.augmenter}{after}{part}, {where}"


def progress_text(progress: dict[str, Any]) -> str:
    """The numbers of a progress line: step, losses, time left."""
    if not progress:
        return "starting"
    step, total, seconds = progress["step"], progress["total"], progress["seconds"]
    losses = [f"{key.replace('_', ' ')} {value:.3g}" for key, value in progress.items() if "loss" in key]
    left = f"{_clock(seconds / step * (total - step))} left" if step else ""
    return ", ".join(filter(None, [f"step {step} of {total}", *losses, left]))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def describe_data(prepared: Prepared) -> list[str]:
    """Which images are used, how they are divided, and what must be known about them: a line each."""
    about = prepared.about
    sizes = ", ".join(f"{count} {part}" for part, count in about.sizes.items())
    height, width, channels = about.shape
    of_folds = f"{about.folds} group-wise folds (the first: {sizes})"
    divided = f"official split: {sizes}" if about.split == "official" else of_folds
    images = f"{height}x{width}x{channels}, classes {', '.join(about.classes)}"
    return [
        f"dataset {prepared.experiment.dataset}: {images}; {divided}",
        *(f"note: {note}" for note in about.notes),
    ]


class QuietView:
    """Shows nothing."""

    def __enter__(self) -> View:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def prepared(self, prepared: Prepared) -> None:
        """Nothing, or for the views below: the images and what must be known about them."""
        for line in describe_data(prepared):
            self.say(line)

    def begin(self, total: int, finished: int, folder: Path) -> None:
        """Nothing."""

    def tick(self, running: list[Running], done: int, failed: int, total: int) -> None:
        """Nothing."""

    def ended(self, task: Task, outcome: Outcome, seconds: float) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""


class PlainView(QuietView):
    """A line for each task that ends, and every half minute a line for each that runs."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def begin(self, total: int, finished: int, folder: Path) -> None:
        already = f", {finished} of them finished before" if finished else ""
        self.say(f"{total} cells{already}, into {folder}")

    def tick(self, running: list[Running], done: int, failed: int, total: int) -> None:
        if time.monotonic() - self._last < PLAIN_EVERY:
            return
        self._last = time.monotonic()
        for one in running:
            self.say(f"  {task_title(one.task)}: {progress_text(one.progress)}")
        self.say(f"{done} of {total} cells done" + (f", {failed} failed" if failed else ""))

    def ended(self, task: Task, outcome: Outcome, seconds: float) -> None:
        result = f"failed: {outcome.error}" if outcome.error else "done"
        self.say(f"{task_title(task)}: {result} ({_clock(seconds)})")

    def say(self, message: str) -> None:
        say([message])


class LiveView(QuietView):
    """A line for each running fit (step, loss, time left) and one for the grid, redrawn in place."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._start = time.monotonic()
        self._before = 0

    def __enter__(self) -> View:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def begin(self, total: int, finished: int, folder: Path) -> None:
        self._before = finished
        already = f", {finished} of them finished before" if finished else ""
        self.say(f"{total} cells{already}, into {folder}")

    def tick(self, running: list[Running], done: int, failed: int, total: int) -> None:
        self._draw(self._progress(running, done, failed, total))

    def _draw(self, progress: Table) -> None:
        self._live.update(progress)

    def _progress(self, running: list[Running], done: int, failed: int, total: int) -> Table:
        lines = Table.grid(padding=(0, 1))
        for one in running:
            step, of = one.progress.get("step", 0), one.progress.get("total", 1)
            lines.add_row(
                ProgressBar(of, step, width=20),
                escape(visible(f"{task_title(one.task)}: {progress_text(one.progress)}")),
            )
        grid = Table.grid(padding=(0, 1))
        ended = done + failed
        made = ended - self._before
        spent = time.monotonic() - self._start
        left = f", about {_clock(spent / made * (total - ended))} left" if made > 0 else ""
        text = (
            f"{done} of {total} cells done"
            + (f", {failed} failed" if failed else "")
            + f", {_clock(spent)} spent{left}"
        )
        grid.add_row(ProgressBar(total, ended, width=40), text)
        both = Table.grid()
        both.add_row(lines)
        both.add_row(grid)
        return both

    def ended(self, task: Task, outcome: Outcome, seconds: float) -> None:
        result = f"[red]failed[/]: {escape(visible(outcome.error))}" if outcome.error else "[green]done[/]"
        self._console.print(f"{escape(visible(task_title(task)))}: {result} ({_clock(seconds)})")

    def say(self, message: str) -> None:
        self._console.print(escape(visible(message)))


class NotebookView(LiveView):
    """The same in one output of a notebook that is redrawn in place; of the tasks that end, failed ones have a line."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn = 0.0
        self._handle: Any = None

    def __enter__(self) -> View:
        from IPython.display import display

        self._handle = display(Table.grid(), display_id=True)  # type: ignore[no-untyped-call]  # IPython is not typed
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def tick(self, running: list[Running], done: int, failed: int, total: int) -> None:
        if running and time.monotonic() - self._drawn < NOTEBOOK_EVERY:
            return
        self._drawn = time.monotonic()
        super().tick(running, done, failed, total)

    def _draw(self, progress: Table) -> None:
        self._handle.update(progress)

    def ended(self, task: Task, outcome: Outcome, seconds: float) -> None:
        if outcome.error:
            super().ended(task, outcome, seconds)
