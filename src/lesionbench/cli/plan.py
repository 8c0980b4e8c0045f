"""`lesionbench plan`: what a run would do, and how long it would take; runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesionbench.cli import options

Discordance = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE[,SHARE...]",
        help="Of the test images, the share on which exactly one of two arms is right. [default: 0.1,0.2,0.3]",
    ),
]
Like = Annotated[
    Path | None, typer.Option(metavar="RUN", help="A finished run from which the discordance is taken instead.")
]


def plan(
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
    out: options.Out = None,
    store: options.StoreFolder = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at a time. [default: the cores]")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Time a few steps of what has never run here.")] = False,
    discordance: Discordance = None,
    like: Like = None,
) -> None:
    """Print the cells, what is done, the time and what the test images can show; runs nothing and writes nothing."""
    given = locals()  # before anything else is bound: the options as they were typed
    file = options.experiment_file(file)
    from lesionbench.experiment.plan import print_plan
    from lesionbench.plugins import Plugins

    plugins = Plugins.load()
    experiment = options.experiment_from(file, plugins, given)
    folder = options.output_folder(out, file, experiment)
    print_plan(plugins, experiment, folder, store, jobs, measure, discordance, like)
