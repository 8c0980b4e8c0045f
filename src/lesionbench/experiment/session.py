"""One session with an experiment: run it into a folder, or judge a finished run in another way."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionbench.errors import OutputError, SettingsError, StoreError, Try
from lesionbench.evidence.papers.published import published_beside, read_published
from lesionbench.experiment.bench import LOGS, Bench
from lesionbench.experiment.collect import collect, jobs_of
from lesionbench.experiment.data_folder import find_data
from lesionbench.experiment.duration import seconds_of
from lesionbench.experiment.grid import arms
from lesionbench.experiment.job_list import JobList, has_list, write_list
from lesionbench.experiment.output import (
    check_output,
    judged_otherwise,
    locked,
    refuse_inside,
    store_address,
    try_to_make,
)
from lesionbench.experiment.precision import notes_of_precision
from lesionbench.experiment.prepare import chosen_device, prepare
from lesionbench.experiment.results import noted_cells
from lesionbench.experiment.runner import Run
from lesionbench.experiment.settings import JUDGING
from lesionbench.experiment.tables import keep_published, write_tables
from lesionbench.experiment.tasks import RUNNING, prepare_worker
from lesionbench.experiment.worker_check import check_executor
from lesionbench.store.addresses import local_folder, open_store
from lesionbench.store.digests import key_of
from lesionbench.workers.dask_cluster import Dask
from lesionbench.workers.entry_points import Executors
from lesionbench.workers.executors import KEPT, Opening
from lesionbench.workers.local import Local, Started, default_jobs, number_of_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.runner import View
    from lesionbench.experiment.settings import Experiment
    from lesionbench.experiment.tables import Tables
    from lesionbench.plugins import Plugins
    from lesionbench.store.store import Store
    from lesionbench.workers.executors import Executor


@dataclass(frozen=True)
class Place:
    """Where an experiment is written and what runs it; nothing here changes a result."""

    out: Path
    store: str | None = None  # a folder or a URL; None: the store of an earlier run in `out`, else a folder in `out`
    jobs: int | str | None = None  # processes at a time; None or auto: the cores, or one on a GPU
    executor: str = "local"  # its name, with settings in brackets
    scheduler: str | None = None  # the address of the dask scheduler
    file: Path | None = None  # the experiment file; published values are looked for beside it
    timeout: str | float | None = None  # how long one task may take: seconds, or text such as 30m; None: for ever

    def __post_init__(self) -> None:
        """Raise SettingsError unless there can be this number of processes, and this time limit."""
        if self.timeout is not None:
            seconds_of(self.timeout)
        number_of_jobs(self.jobs)

    def where_tasks_run(self) -> Executor:
        """The executor; raises SettingsError when there is none of that name, or when it has no such settings."""
        if not isinstance(self.executor, str):
            raise SettingsError(f"an executor is named by text, such as 'local', not {self.executor!r}")
        executor = Executors.load().make(self.executor)
        if self.scheduler is None:
            return executor
        if not isinstance(executor, Dask):
            raise SettingsError(
                f"the executor {self.executor!r} has no scheduler",
                Try("leave out {scheduler}, or add {executor}", scheduler=self.scheduler, executor="dask"),
            )
        return executor.model_copy(update={"scheduler": self.scheduler})


@dataclass(frozen=True)
class Finished:
    """A run that came to its end, and the tables it wrote."""

    out: Path
    tables: Tables
    failed_cells: int  # how many cells have no predictions, for whatever reason
    cells_before: int  # how many cells were done before it began


def default_folder(experiment: Experiment) -> Path:
    """The output folder of an experiment when none is named: other settings, another folder."""
    settings = experiment.model_dump(mode="json", exclude={*JUDGING, *([] if experiment.stack else ["stack"])})
    return Path("runs") / f"{experiment.dataset.partition('[')[0]}-{key_of(settings)[:8]}"


def run_experiment(plugins: Plugins, experiment: Experiment, place: Place, view: View) -> Finished:
    """Run every cell that is not finished, write every table, and return what the leaderboard says.

    Raises InputError before anything is written; KeyboardInterrupt passes through, and what is finished is kept.
    """
    executor = place.where_tasks_run()
    checked = _check(plugins, experiment, place, executor, view.say)
    with closing(_started(executor, experiment, plugins, place)) as started:
        prepared = prepare(experiment, plugins, checked.store, checked.sources, elsewhere=not executor.is_here)
        view.prepared(prepared)
        for note in notes_of_precision(prepared, plugins) if executor.is_here else ():
            view.say(f"note: {note}")
        with locked(place.out) as alone, view:
            if alone:
                shutil.rmtree(place.out / RUNNING, ignore_errors=True)  # of a run that was killed
            bench = begin(plugins, prepared, place.out, checked.published)
            if has_list(place.out):  # so that `work` can go on with what this run leaves
                write_list(place.out, JobList.of(bench))
            opening = Opening(number_of_jobs(place.jobs), prepared.device, place.out.absolute() / LOGS, started)
            run = Run(bench, place.out, view, seconds_of(place.timeout) if place.timeout is not None else None)
            with settled(bench.store, lambda: f"{run.state}; "):
                tables = run(partial(executor.open, opening))
    return Finished(place.out, tables, run.unfinished, run.done_before)


def _started(executor: Executor, experiment: Experiment, plugins: Plugins, place: Place) -> Started:
    """Processes for tasks on this machine, which get ready while the images are loaded; none if all cells are done."""
    done, total = finished_cells(place.out)
    if not isinstance(executor, Local) or done == total > 0:
        return Started(0, bool)
    jobs = number_of_jobs(place.jobs) or default_jobs(chosen_device(experiment))
    at_least = len(arms(experiment)) * experiment.seeds  # tasks; how many folds there are is not known yet
    return Started(min(jobs, at_least), partial(prepare_worker, experiment, plugins.own))


def finished_cells(out: Path) -> tuple[int, int]:
    """How many cells of the run in `out` are done, and how many there are; 0 of 0 when it has not written them yet."""
    try:
        noted = noted_cells(out).values()
    except OutputError:
        return 0, 0
    return sum(row["status"] == "done" for row in noted), len(noted)


@dataclass(frozen=True)
class _Checked:
    """Where an experiment may be written."""

    store: str  # its address
    sources: str | None  # the digest of the data that an earlier run in the same folder noted
    published: Path | None  # the file of published values beside the experiment's


def make_ready(
    plugins: Plugins, experiment: Experiment, place: Place, executor: Executor | None
) -> tuple[Prepared, Path | None]:
    """The experiment with its images and splits in the store, and the file of published values beside its file.

    executor: where tasks run; None when that is not known yet, and then a GPU that is asked for need not be here.
    Raises InputError before anything is written.
    """
    checked = _check(plugins, experiment, place, executor)
    elsewhere = executor is None or not executor.is_here
    return prepare(experiment, plugins, checked.store, checked.sources, elsewhere=elsewhere), checked.published


def _check(
    plugins: Plugins,
    experiment: Experiment,
    place: Place,
    executor: Executor | None,
    say: Callable[[str], object] = str,
) -> _Checked:
    """Check everything that takes no long; say: tells the user what does.

    Raises InputError before anything is written.
    """
    noted = check_output(place.out, experiment)
    store = store_address(place.out, noted, place.store)
    open_store(store).check()  # raises OutputError for a place that holds anything else
    try_to_make(place.out)
    kept = local_folder(store)
    if kept is not None:
        try_to_make(kept, Try("choose another {store}"))
    data = find_data(plugins.dataset(experiment.dataset), experiment.data)
    refuse_inside(data, place.out, *filter(None, [kept]))
    published = published_beside(place.file) if place.file is not None else None
    if published is not None:
        read_published(published)  # raises SettingsError before anything is written
    if executor is not None:
        check_executor(executor, experiment, plugins, place.out, store, say)
    return _Checked(store, noted.get("sources"), published)


def begin(plugins: Plugins, prepared: Prepared, out: Path, published: Path | None) -> Bench:
    """The bench of an experiment whose folder is locked, with what the folder and the store must know beforehand.

    Raises OutputError if the folder holds another experiment by now.
    """
    check_output(out, prepared.experiment)  # another run may have been here while the images were loaded
    bench = Bench(prepared, plugins, out / LOGS)
    bench.store.note_use(out, bench.uses())
    keep_published(out, published)
    return bench


@contextmanager
def settled(store: Store, state: Callable[[], str] = str) -> Iterator[None]:
    """A block that fills a store; what an earlier one could not send is sent first, and all of its own at last.

    state: how far the block has come, for the error that says that the store does not answer.
    """
    try:
        store.sweep()
        store.settle()
        yield
        store.settle()
    except StoreError as error:
        raise StoreError(f"{error.message}; {state()}{KEPT}") from None


def judge_again(out: Path, changes: Mapping[str, Any]) -> Tables:
    """Make every table of the run in `out` again from its predictions, byte for byte.

    changes: judging settings (baseline, margin, judged_by, operating_point) that differ; the folder keeps them.
    Raises OutputError when `out` holds no run, SettingsError when a change is wrong.
    """
    judged = judged_otherwise(out, changes) if changes else None
    if has_list(out):
        _collect(out)
    return write_tables(out, judged)


def _collect(out: Path) -> None:
    """Fetch what was made since the last time, unless a run does that now or the store is not there."""
    jobs = jobs_of(out)
    store = local_folder(jobs.prepared.store)
    if store is not None and not store.is_dir():  # the tables are made of what was fetched before
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(out, shared=True))
        except OutputError:  # a run is writing, and cells.csv is as new as can be
            return
        collect(out, jobs)
