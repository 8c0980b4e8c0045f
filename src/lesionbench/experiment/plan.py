"""The plan of a run: what is done, what is to do, how long that takes, and what the test images can show."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from lesionbench.experiment.bench import LOGS, Bench, read_record
from lesionbench.experiment.chain import drawing, held_back
from lesionbench.experiment.grid import Cell, arms, cells
from lesionbench.experiment.needs import learner, memory_of_task, note_peak
from lesionbench.experiment.output import check_output, store_address
from lesionbench.experiment.plan_power import PowerRequest, power
from lesionbench.experiment.precision import notes_of_precision
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.timing import fit_seconds
from lesionbench.pipeline.training_set import TrainingSet
from lesionbench.store.addresses import open_store
from lesionbench.workers.local import default_jobs, number_of_jobs
from lesionbench.workers.memory import free_gigabytes

if TYPE_CHECKING:
    from lesionbench.experiment.grid import GridArm, PoolJob
    from lesionbench.experiment.plan_power import Power
    from lesionbench.experiment.prepare import About
    from lesionbench.experiment.session import Place
    from lesionbench.experiment.settings import Experiment
    from lesionbench.experiment.tasks import Task
    from lesionbench.pipeline.context import Device
    from lesionbench.plugins import Plugins


@dataclass
class Progress:
    """What of an experiment is in the store, what is not, and how long the fits took that are (seconds, by plugin)."""

    cells_done: list[Cell] = field(default_factory=list)
    cells_to_do: list[Cell] = field(default_factory=list)
    fits_to_do: list[PoolJob] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)  # the largest memory of these fits (GB), by plugin


@dataclass(frozen=True)
class Plan:
    """What a run into `out` would do."""

    experiment: Experiment
    about: About
    notes: tuple[str, ...]  # about the machine
    out: Path
    jobs: int  # processes at a time
    cells_done: tuple[Cell, ...]
    cells_to_do: tuple[Cell, ...]
    fits_to_do: tuple[PoolJob, ...]
    fit_seconds: dict[str, float]  # of one fit, by augmenter and classifier; those that have never been timed lack
    power: Power

    @property
    def arms(self) -> list[GridArm]:
        """The rows that the leaderboard will have."""
        return arms(self.experiment)

    @property
    def fits_of(self) -> dict[str, int]:
        """How often each augmenter and each classifier is still to be fitted."""
        counts = Counter(job.augmenter for job in self.fits_to_do)
        counts.update(cell.arm.classifier for cell in self.cells_to_do)
        return dict(counts)

    @property
    def never_timed(self) -> list[str]:
        """The plugins that are to be fitted and have never been timed here."""
        return [name for name in self.fits_of if name not in self.fit_seconds]

    @property
    def seconds(self) -> float:
        """The seconds that all fits take whose time is known."""
        known = (self.fit_seconds.get(name, 0.0) * count for name, count in self.fits_of.items())
        return sum(known) / self.jobs


def plan_experiment(
    plugins: Plugins,
    experiment: Experiment,
    place: Place,
    power_request: PowerRequest | None = None,
    *,
    measure: bool = False,
) -> Plan:
    """The plan of a run into `place.out`; writes nothing there and, unless `measure`, fits nothing.

    measure: time a few steps of every plugin that has never been timed, on the experiment's own images.
    Raises DatasetError, SplitError, SettingsError or OutputError as the run would.
    """
    noted = check_output(place.out, experiment)
    store = store_address(place.out, noted, place.store)
    kept = open_store(store)
    kept.check()
    prepared = prepare(experiment, plugins, store, noted.get("sources"), keep=False)
    with kept.listed():
        progress = look_up(Bench(prepared, plugins, place.out / LOGS))
    plan = Plan(
        experiment=prepared.experiment,
        about=prepared.about,
        notes=tuple(notes_of_precision(prepared, plugins)),
        out=place.out,
        jobs=number_of_jobs(place.jobs) or _fitting_jobs(progress, prepared.device, plugins),
        cells_done=tuple(progress.cells_done),
        cells_to_do=tuple(progress.cells_to_do),
        fits_to_do=tuple(progress.fits_to_do),
        fit_seconds={name: median(seconds) for name, seconds in progress.seconds.items()},
        power=power(prepared.about, experiment.dataset, power_request or PowerRequest()),
    )
    if measure and plan.never_timed:
        return replace(plan, fit_seconds={**plan.fit_seconds, **_measure(plan, plugins)})
    return plan


def _fitting_jobs(progress: Progress, device: Device, plugins: Plugins) -> int:
    """How many tasks run at a time by default: as many as the memory holds, if each is the largest that is to do."""
    to_do: list[Task] = [*progress.fits_to_do, *progress.cells_to_do]
    one_of_each = {learner(task): task for task in to_do}.values()
    largest = max((memory_of_task(task, plugins, device, progress.peaks) for task in one_of_each), default=0.0)
    jobs, free = default_jobs(device), free_gigabytes()
    return jobs if free is None or not largest else max(1, min(jobs, int(free / largest)))


def look_up(bench: Bench) -> Progress:
    """Look every cell and every fit of the experiment up in the store."""
    found = Progress()
    jobs: dict[PoolJob, bool] = {}  # True: a cell that is not done needs it
    for cell in cells(bench.prepared.experiment, bench.prepared.about.folds):
        entry = bench.predictions(cell)
        (found.cells_done if entry else found.cells_to_do).append(cell)
        record = read_record(entry)
        if record:
            found.seconds.setdefault(cell.arm.classifier, []).append(record.seconds)
            note_peak(found.peaks, cell, record.peak_mb)
        for job in cell.needs:
            jobs[job] = jobs.get(job, False) or entry is None
    for job, needed in jobs.items():
        record = read_record(bench.fit(job))
        if record:
            found.seconds.setdefault(job.augmenter, []).append(record.seconds)
            note_peak(found.peaks, job, record.peak_mb)
        elif needed:
            found.fits_to_do.append(job)
    return found


def _measure(plan: Plan, plugins: Plugins) -> dict[str, float]:
    """The seconds of one fit of every plugin that has never been timed, measured outside the run's folders."""
    augmenters = {job.augmenter for job in plan.fits_to_do}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(plan.experiment, plugins, str(Path(folder) / "store"))
        train = TrainingSet.of(Bench(prepared, plugins, Path(folder)).fold(0))
        for name in plan.never_timed:
            plugin = plugins.augmenter(name) if name in augmenters else plugins.classifier(name)
            found[name] = fit_seconds(plugin, train, prepared, Path(folder))
            if plugin.more_images_train_longer:  # and the fit that was measured saw real images alone
                found[name] *= _mean_size(plan.experiment, train) / len(train.real)
    return found


def _mean_size(experiment: Experiment, train: TrainingSet) -> float:
    """How many images an arm trains on, the mean over the arms."""
    classes = len(train.classes)
    return mean(
        len(train.real) + classes * (sum(draw.per_class for draw in drawing(arm.draws)) - held_back(arm.draws))
        for arm in arms(experiment)
    )
