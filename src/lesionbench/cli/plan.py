"""`lesionbench plan`: what a run would do, and how long it would take; runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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


@options.with_settings(options.USUAL, options.RARE)
def plan(
    settings: dict[str, Any],
    file: options.File = None,
    out: options.Out = None,
    jobs: options.Jobs = None,
    measure: Annotated[bool, typer.Option("--measure", help="Time a few steps of what has never run here.")] = False,
    discordance: Discordance = None,
    like: Like = None,
    store: options.StoreAddress = None,
) -> None:
    """Print what a run would do and how long it would take.

    Also prints the smallest differences that the test images can show. Nothing is run or written; with --measure,
    a few steps are timed.
    """
    from lesionbench.experiment.plan import plan_experiment
    from lesionbench.experiment.plan_power import power_request
    from lesionbench.experiment.session import Place
    from lesionbench.experiment.settings import load_experiment
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say_in_words
    from lesionbench.report.plan import plan_lines

    plugins = Plugins.load()
    file = options.experiment_file(file)
    experiment = load_experiment(file, settings, plugins)
    request = power_request(None if discordance is None else shares(discordance), like)
    place = Place(options.output_folder(out, file, experiment), store, jobs)
    planned = plan_experiment(plugins, experiment, place, request, measure=measure)
    say_in_words(plan_lines(planned, options.typed))


def shares(text: str) -> list[float]:
    """The numbers in a text such as `0.1,0.2`; raises SettingsError when one is none."""
    from lesionbench.errors import SettingsError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(
            f"--discordance takes shares in (0, 1] with commas between, not {text!r}; try 0.15"
        ) from None
