"""Ours in the training rows: two fits of a plugin at once, in two processes of one thread, as in a run on two cores."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drawn import kept
from pairs import Cost

from lesionbench.pipeline.context import NoCheckpoint, RunContext
from lesionbench.pipeline.training_set import TrainingSet
from lesionbench.plugins import Plugins
from lesionbench.workers.apart import run_apart

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

SIDE = 1536  # of the matrices whose product gives the matrix rate
PRODUCTS = 4
PATIENCE = 300  # seconds that one process waits for the other


@dataclass(frozen=True)
class Fits:
    """What to fit: a plugin with its settings, on the images in a folder; so many steps are timed after the first few.

    operations: floating-point operations for one image, to state the share of the matrix rate; None: not stated.
    """

    kind: str  # augmenter or classifier
    spec: str  # a plugin with `{steps}` among its settings
    folder: Path
    batch_size: int
    steps: int
    warm: int
    operations: float | None = None


class Clock(NoCheckpoint):
    """Times a fit's steps after the first few, without the validation that may follow the last step.

    Fits ask after every step but the last whether their state should be saved, so the steps are counted there.
    """

    def __init__(self, fits: Fits, wait: Callable[[], None]) -> None:
        self.fits, self.wait = fits, wait
        self.asked = 0
        self.began = self.ended = (0.0, 0.0)

    def due(self) -> bool:
        """Never; waits for the other process after the first few steps."""
        self.asked += 1
        if self.asked == self.fits.warm:
            self.wait()
            self.began = time.perf_counter(), time.process_time()
        if self.asked == self.fits.warm + self.fits.steps:
            self.ended = time.perf_counter(), time.process_time()
        return False


def two_fits(fits: Fits, precision: str, threads: Executor) -> Cost:
    """What training costs in two processes at once, without what comes before the first steps and after the last."""
    with tempfile.TemporaryDirectory() as meeting:
        told = [threads.submit(run_apart, fit_once, fits, precision, number, meeting) for number in range(2)]
        found = [one.result() for one in told]
    for one in found:
        if not isinstance(one, dict):
            raise RuntimeError(f"{fits.spec} did not train: {one}")
    wall = max(one["ended"] for one in found) - min(one["began"] for one in found)
    work = 2.0 * fits.steps * fits.batch_size
    notes = {"matrix_rate": sum(one["matrix_rate"] for one in found)}
    if fits.operations:
        notes["share"] = fits.operations * work / wall / notes["matrix_rate"]
    return Cost(wall, sum(one["processor"] for one in found), work, notes)


def fit_once(fits: Fits, precision: str, number: int, meeting: str) -> dict[str, float]:
    """When one fit began and ended, its processor seconds, and the matrix rate of its thread afterwards."""
    clock = Clock(fits, lambda: _meet(Path(meeting), f"trains{number}", 2))
    spec = fits.spec.format(steps=fits.warm + fits.steps + 1)
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(number, "cpu", precision, Path(folder), lambda *_, **__: None, clock)
        _fit(fits, spec, context)
    _meet(Path(meeting), f"multiplies{number}", 4)
    return {
        "began": clock.began[0],
        "ended": clock.ended[0],
        "processor": clock.ended[1] - clock.began[1],
        "matrix_rate": matrix_rate(precision),
    }


def _fit(fits: Fits, spec: str, context: RunContext) -> None:
    train = kept(fits.folder, "train")
    if fits.kind == "augmenter":
        Plugins.load().augmenter(spec).fit(train, context)
        return
    training_set = TrainingSet(train, train.images[:0], train.labels[:0], kept(fits.folder, "validation"))
    Plugins.load().classifier(spec).fit(training_set, context)


def _meet(folder: Path, name: str, together: int) -> None:
    """Wait until this many have come."""
    (folder / name).touch()
    until = time.monotonic() + PATIENCE
    while len(list(folder.iterdir())) < together:
        assert time.monotonic() < until, "the other process did not come"
        time.sleep(0.001)


def matrix_rate(precision: str) -> float:
    """Floating-point operations a second of one thread that multiplies big square matrices; the best of a few."""
    import torch

    torch.set_num_threads(1)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    one @ other
    took = []
    for _ in range(PRODUCTS):
        began = time.perf_counter()
        one @ other
        took.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(took)
