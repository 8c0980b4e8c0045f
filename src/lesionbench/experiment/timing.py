"""How long one fit of a plugin takes, from a few of its steps."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.experiment.progress_log import Progress
from lesionbench.pipeline.augmenter import Augmenter
from lesionbench.pipeline.context import RunContext

if TYPE_CHECKING:
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.pipeline.classifier import Classifier
    from lesionbench.pipeline.training_set import TrainingSet

FEW, MORE = 4, 12  # steps of the two short fits from which the time of a whole one is extrapolated


def fit_seconds(plugin: Augmenter | Classifier, train: TrainingSet, prepared: Prepared, folder: Path) -> float:
    """The seconds of a whole fit: extrapolated from two short ones, or measured where steps do not count.

    folder: where a fit may write; the caller removes it.
    """
    few, more = plugin.shortened(FEW), plugin.shortened(MORE)
    if few is None or more is None:
        return _measured(plugin, train, prepared, folder)
    steps = _steps(plugin, train, prepared, folder)  # and what is slow only once, such as imports, is over
    of_few, of_more = (_measured(one, train, prepared, folder) for one in (few, more))
    quick = of_more <= of_few  # then the clock is too coarse for so few steps
    a_step = of_more / MORE if quick else (of_more - of_few) / (MORE - FEW)
    return max(of_few, of_more + a_step * (steps - MORE))


class _KnowsEnough(Exception):  # not an error: leaves a fit that has reported how many steps it takes
    pass


def _steps(plugin: Augmenter | Classifier, train: TrainingSet, prepared: Prepared, folder: Path) -> int:
    """The steps of a whole fit as it reports them itself: some plugins count epochs or images shown."""
    totals: list[int] = []

    def report(step: int, total: int, **scalars: float) -> None:  # noqa: ARG001  # the signature of a report
        totals.append(total)
        raise _KnowsEnough

    with suppress(_KnowsEnough):
        _fit(plugin, train, replace(_context(prepared, folder), report=report))
    return totals[0] if totals else int(getattr(plugin, "steps", 0))


def _measured(plugin: Augmenter | Classifier, train: TrainingSet, prepared: Prepared, folder: Path) -> float:
    context = _context(prepared, folder)
    start = time.perf_counter()
    _fit(plugin, train, context)
    return time.perf_counter() - start


def _context(prepared: Prepared, folder: Path) -> RunContext:
    place = Path(tempfile.mkdtemp(dir=folder))
    return RunContext(0, prepared.device, prepared.precision, place, Progress(place, prepared.device))


def _fit(plugin: Augmenter | Classifier, train: TrainingSet, context: RunContext) -> None:
    if isinstance(plugin, Augmenter):
        plugin.fit(train.real, context)
    else:
        plugin.fit(train, context)
