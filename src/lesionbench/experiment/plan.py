"""What `lesionbench plan` does once its options are understood."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, TypeVar

from lesionbench.experiment.bench import LOGS, Bench, read_record
from lesionbench.experiment.chain import drawing, held_back
from lesionbench.experiment.executors import default_jobs
from lesionbench.experiment.grid import Cell, arms, cells
from lesionbench.experiment.output import check_output, store_folder
from lesionbench.experiment.plan_power import ask, power_lines
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.progress_log import make_context
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.pipeline.training_set import TrainingSet

if TYPE_CHECKING:
    from lesionbench.experiment.grid import PoolJob
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.arm import Arm
    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.pipeline.classifier import Classifier
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Plugins

AnyPlugin = TypeVar("AnyPlugin", bound="Plugin")
FEW, MORE = 4, 12  # steps of the two short fits from which the time of a whole one is told


@dataclass
class Plan:
    """What is done, what is to do, and how long one fit of each plugin took (seconds)."""

    cells_done: list[Cell] = field(default_factory=list)
    cells_to_do: list[Cell] = field(default_factory=list)
    fits_to_do: list[PoolJob] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def estimate(self, jobs: int) -> tuple[float, list[str]]:
        """The seconds the rest takes with `jobs` processes, and the plugins of which nothing is known."""
        wanted = Counter(job.augmenter for job in self.fits_to_do)
        wanted.update(cell.arm.classifier for cell in self.cells_to_do)
        known = sum(count * median(self.seconds[name]) for name, count in wanted.items() if name in self.seconds)
        return known / jobs, [name for name in wanted if name not in self.seconds]


def make_plan(bench: Bench) -> Plan:
    """Look every cell and every fit of the experiment up in the store."""
    plan = Plan()
    jobs: dict[PoolJob, bool] = {}  # True: a cell that is not done needs it
    for cell in cells(bench.prepared.experiment, bench.prepared.about.folds):
        entry = bench.predictions(cell)
        (plan.cells_done if entry else plan.cells_to_do).append(cell)
        record = read_record(entry)
        if record:
            plan.seconds.setdefault(cell.arm.classifier, []).append(record.seconds)
        for job in cell.needs:
            jobs[job] = jobs.get(job, False) or entry is None
    for job, needed in jobs.items():
        record = read_record(bench.fit(job))
        if record:
            plan.seconds.setdefault(job.augmenter, []).append(record.seconds)
        elif needed:
            plan.fits_to_do.append(job)
    return plan


def print_plan(
    plugins: Plugins,
    experiment: Experiment,
    out: Path,
    store: Path | None,
    jobs: int | None,
    measure: bool,
    discordance: str | None,
    like: Path | None,
) -> None:
    """Print the plan of a run into `out`; runs nothing but, with `measure`, a few steps of each plugin."""
    asked = ask(discordance, like)  # before the images are read, which may take long
    noted = check_output(out, experiment)
    store = store_folder(out, noted, store)
    prepared = prepare(experiment, plugins, store, noted.get("sources"), keep=False)
    plan = make_plan(Bench(prepared, plugins, out / LOGS))
    jobs = jobs or default_jobs(prepared.device)
    if measure:
        _measure(plan, experiment, plugins, jobs)
    lines = [*_lines(plan, prepared, out, jobs, measure), *power_lines(prepared, asked)]
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _lines(plan: Plan, prepared: Prepared, out: Path, jobs: int, measured: bool) -> list[str]:
    experiment, about = prepared.experiment, prepared.about
    sizes = ", ".join(f"{count} {part}" for part, count in about.sizes.items())
    total = len(plan.cells_done) + len(plan.cells_to_do)
    lines = [f"dataset {experiment.dataset}, split {about.split} ({sizes}), groups {about.groups}"]
    lines += [f"note: {note}" for note in about.notes]
    lines += [f"  {_described(arm)}" for arm in arms(experiment)]
    lines.append(
        f"{_count(len(arms(experiment)), 'arm')} x {_count(about.folds, 'fold')} x {_count(experiment.seeds, 'seed')}"
        f" = {_count(total, 'cell')}: "
        f"{len(plan.cells_done)} done, {len(plan.cells_to_do)} to do, after {len(plan.fits_to_do)} augmenter fits"
    )
    seconds, unknown = plan.estimate(jobs)
    if plan.cells_to_do:
        words = f"about {seconds / 60:.1f} minutes with --jobs {jobs}" if seconds else "time not known yet"
        if experiment.on_the_fly != (BASELINE,):
            words += " (changes on the fly not counted)"
        if unknown and not measured:
            words += f"; nothing is known of {', '.join(unknown)}: add --measure to time a few steps"
        lines.append(words)
    lines.append(f"into {out}")
    return lines


def _described(arm: Arm) -> str:
    changed = f", {arm.on_the_fly} on the fly" if arm.changes_batches else ""
    return f"{arm.augmenter} {arm.synthetic_per_class} per class{changed}, {arm.classifier}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _measure(plan: Plan, experiment: Experiment, plugins: Plugins, jobs: int) -> None:
    """Time a few steps of every plugin of which nothing is known, on the experiment's own images."""
    _, unknown = plan.estimate(jobs)
    if not unknown:
        return
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(experiment, plugins, Path(folder) / "store")
        train = TrainingSet.of(Bench(prepared, plugins, Path(folder)).fold(0))
        for name in unknown:
            of_augmenter = name in {job.augmenter for job in plan.fits_to_do}
            plugin = plugins.augmenter(name) if of_augmenter else plugins.classifier(name)
            seconds = _whole_fit_seconds(plugin, train, prepared, Path(folder))
            if getattr(plugin, "epochs", None):  # measured on the real images alone, and longer with more of them
                seconds *= _mean_size(experiment, train) / len(train.real)
            plan.seconds[name] = [seconds]


def _mean_size(experiment: Experiment, train: TrainingSet) -> float:
    """How many images an arm trains on, the mean over the arms."""
    classes = len(train.classes)
    return mean(
        len(train.real) + classes * (sum(draw.per_class for draw in drawing(arm.draws)) - held_back(arm.draws))
        for arm in arms(experiment)
    )


def _whole_fit_seconds(plugin: Augmenter | Classifier, train: TrainingSet, prepared: Prepared, folder: Path) -> float:
    """The seconds of a whole fit, told from two short ones; for a plugin without `steps`, those of a whole one."""
    if not hasattr(plugin, "steps"):
        return _fit_seconds(plugin, train, prepared, folder)
    steps = _steps(plugin, train, prepared, folder)  # and what is slow once only, such as imports, is behind us
    few, more = (_fit_seconds(_shortened(plugin, number), train, prepared, folder) for number in (FEW, MORE))
    a_step = (more - few) / (MORE - FEW) if more > few else more / MORE  # the clock is coarser than so few quick steps
    return max(few, more + a_step * (steps - MORE))


def _shortened(plugin: AnyPlugin, steps: int) -> AnyPlugin:
    counted_otherwise = {"epochs": None} if hasattr(plugin, "epochs") else {}
    return plugin.model_copy(update={"steps": steps, **counted_otherwise})


class _ToldEnough(Exception):  # not an error: how a fit is left that has said how long it is
    pass


def _steps(plugin: Augmenter | Classifier, train: TrainingSet, prepared: Prepared, folder: Path) -> int:
    """The steps of a whole fit as it reports them itself: some plugins count in epochs or in images shown."""
    told: list[int] = []

    def report(step: int, total: int, **scalars: float) -> None:  # noqa: ARG001  # a report has these
        told.append(total)
        raise _ToldEnough

    with suppress(_ToldEnough):
        _fit(plugin, train, replace(_context(prepared, folder), report=report))
    return told[0] if told else int(getattr(plugin, "steps", 0))


def _fit_seconds(plugin: Augmenter | Classifier, train: TrainingSet, prepared: Prepared, folder: Path) -> float:
    context = _context(prepared, folder)
    start = time.perf_counter()
    _fit(plugin, train, context)
    return time.perf_counter() - start


def _context(prepared: Prepared, folder: Path) -> RunContext:
    return make_context(0, prepared.device, prepared.precision, Path(tempfile.mkdtemp(dir=folder)))[0]


def _fit(plugin: Augmenter | Classifier, train: TrainingSet, context: RunContext) -> None:
    from lesionbench.pipeline.augmenter import Augmenter

    if isinstance(plugin, Augmenter):
        plugin.fit(train.real, context)
    else:
        plugin.fit(train, context)
