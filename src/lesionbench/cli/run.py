"""`lesionbench run`: run an experiment and print its leaderboard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lesionbench.cli import options

if TYPE_CHECKING:
    from pathlib import Path

INTERRUPTED = 130


def run(
    file: options.File = None,
    dataset: options.Dataset = None,
    data: options.Data = None,
    augmenter: options.Augmenter = None,
    synthetic: options.Synthetic = None,
    on_the_fly: options.OnTheFly = None,
    classifier: options.Classifier = None,
    controls: options.Controls = False,
    split: options.Split = None,
    validation: options.Validation = None,
    seeds: options.Seeds = None,
    classifier_seeds: options.ClassifierSeeds = None,
    seed: options.Seed = None,
    positive_class: options.PositiveClass = None,
    device: options.Device = None,
    precision: options.Precision = None,
    baseline: options.Baseline = None,
    margin: options.Margin = None,
    judged_by: options.JudgedBy = None,
    operating_point: options.OperatingPoint = None,
    out: options.Out = None,
    store: options.StoreFolder = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at a time. [default: the cores]")] = None,
    executor: Annotated[str, typer.Option(metavar="local|dask", help="Where tasks run.")] = "local",
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The dask scheduler.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the leaderboard only.")] = False,
) -> None:
    """Run every combination on the same splits and write leaderboard.csv; what is finished is skipped."""
    given = locals()  # before anything else is bound: the options as they were typed
    file = options.experiment_file(file)
    from lesionbench.experiment.session import Place, run_experiment
    from lesionbench.plugins import Plugins
    from lesionbench.report.progress import choose_view
    from lesionbench.report.terminal import print_tables

    plugins = Plugins.load()
    experiment = options.experiment_from(file, plugins, given)
    folder = options.output_folder(out, file, experiment)
    view = choose_view(quiet)
    if dataset is None and file is None:
        view.say(f"no --dataset was named, so the built-in {experiment.dataset} is used")
    try:
        finished = run_experiment(plugins, experiment, Place(folder, store, jobs, executor, scheduler, file), view)
    except KeyboardInterrupt:
        _stopped(folder)
    print_tables(finished.tables)
    if finished.failed_cells:
        sys.stdout.write(
            f"{finished.failed_cells} cells failed; the reasons are in {folder}/cells.csv and {folder}/logs\n"
        )
    sys.stdout.write(f"{folder}/leaderboard.csv\n")
    raise typer.Exit(1 if finished.failed_cells else 0)


def _stopped(folder: Path) -> NoReturn:
    """Say how to go on with a run that was stopped; a run that has not begun leaves nothing to go on with."""
    from lesionbench.experiment.output import SETTINGS

    if not (folder / SETTINGS).exists():
        raise KeyboardInterrupt
    sys.stderr.write(
        f"\nlesionbench: stopped; what is finished is kept. To go on: lesionbench run {folder}/{SETTINGS}\n"
    )
    raise typer.Exit(INTERRUPTED)
