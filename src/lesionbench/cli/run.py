"""`lesionbench run`: run an experiment and print its leaderboard."""

from __future__ import annotations

from typing import Annotated

import typer

from lesionbench.cli import options


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
    from lesionbench.cli.running import Request, run_experiment
    from lesionbench.evidence.papers.published import published_beside
    from lesionbench.plugins import Plugins

    plugins = Plugins.load()
    experiment = options.experiment_from(file, plugins, given)
    named = dataset is not None or file is not None
    folder = options.output_folder(out, file, experiment)
    request = Request(folder, store, jobs, executor, scheduler, quiet, named, published_beside(file) if file else None)
    status = run_experiment(plugins, experiment, request)
    raise typer.Exit(status)
