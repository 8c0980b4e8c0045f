"""What `lesionbench run` does once its options are understood."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from lesionbench.errors import SettingsError
from lesionbench.evidence.papers.published import read_published
from lesionbench.experiment.data_folder import find_data
from lesionbench.experiment.executors import ExecutorKind, default_jobs, open_workers
from lesionbench.experiment.output import check_output, held, refuse_inside
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.runner import Run
from lesionbench.experiment.store import Store
from lesionbench.experiment.tables import keep_published
from lesionbench.report.progress import choose_view
from lesionbench.report.terminal import print_tables
from lesionbench.spelling import did_you_mean

if TYPE_CHECKING:
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.runner import View
    from lesionbench.experiment.settings import Experiment
    from lesionbench.plugins import Plugins

INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """How and where to run; nothing here changes a result."""

    out: Path
    store: Path | None
    jobs: int | None
    executor: str
    scheduler: str | None
    quiet: bool
    dataset_named: bool
    published: Path | None = None  # a file of published values to set beside the measured ones


def run_experiment(plugins: Plugins, experiment: Experiment, request: Request) -> int:
    """Run it and print the leaderboard; returns 0 when every cell is done, 1 when some failed, 130 on Ctrl-C."""
    kinds = get_args(ExecutorKind)
    if request.executor not in kinds:
        hint = did_you_mean(request.executor, kinds)
        raise SettingsError(f"an executor is one of {', '.join(kinds)}, not {request.executor!r}{hint}")
    workers = partial(open_workers, cast("ExecutorKind", request.executor), scheduler=request.scheduler)
    if request.executor == "dask":
        with workers(jobs=1):  # raises SettingsError before anything is written
            pass
    noted = check_output(request.out, experiment)
    store = request.store or Path(noted.get("store", request.out / "store"))
    refuse_inside(find_data(plugins.dataset(experiment.dataset), experiment.data), request.out, store)
    if request.published is not None:
        read_published(request.published)  # raises SettingsError before anything is written
    prepared = prepare(experiment, plugins, store, noted.get("sources"))
    view = choose_view(request.quiet)
    if not request.dataset_named:
        view.say(f"no --dataset was named, so the built-in {experiment.dataset} is used")
    announce(view, prepared)
    try:
        with held(request.out), view:
            Store(store).sweep()
            keep_published(request.out, request.published)
            jobs = request.jobs or default_jobs(prepared.device)
            tables = Run(prepared, plugins, request.out, view)(partial(workers, jobs=jobs))
    except KeyboardInterrupt:
        sys.stderr.write(
            "\nlesionbench: stopped; what is finished is kept. "
            f"To go on: lesionbench run {request.out}/experiment.toml\n"
        )
        return INTERRUPTED
    print_tables(tables)
    failed = sum(cast("int", row["failed_cells"]) for row in tables.leaderboard)
    if failed:
        sys.stdout.write(f"{failed} cells failed; the reasons are in {request.out}/cells.csv and {request.out}/logs\n")
    sys.stdout.write(f"{request.out}/leaderboard.csv\n")
    return 1 if failed else 0


def announce(view: View, prepared: Prepared) -> None:
    """Say which images are used and what must be known about them."""
    about = prepared.about
    sizes = ", ".join(f"{count} {part}" for part, count in about.sizes.items())
    height, width, channels = about.shape
    how = "official split" if about.split == "official" else f"{about.folds} group-wise folds (the first: {sizes})"
    view.say(
        f"dataset {prepared.experiment.dataset}: {height}x{width}x{channels}, classes {', '.join(about.classes)}; "
        + (f"{how}: {sizes}" if about.split == "official" else how)
    )
    for note in about.notes:
        view.say(f"note: {note}")
