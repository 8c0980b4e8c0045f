"""`lesionbench jobs`: write an experiment as a list of jobs for `lesionbench work`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lesionbench.cli import options
from lesionbench.experiment.settings import JUDGING


@options.with_settings(options.USUAL, (*JUDGING, *options.RARE))
def jobs(
    settings: dict[str, Any],
    file: options.File = None,
    out: options.Out = None,
    array: Annotated[bool, typer.Option("--array", help="Also write a script for a SLURM job array.")] = False,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Jobs of the array at a time. [default: all]")
    ] = None,
    store: options.StoreAddress = None,
    timeout: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Write an experiment as jobs for a cluster or some machines.

    Nothing is run. The list of jobs is in jobs.csv; `lesionbench work` does them.
    """
    from lesionbench.errors import SettingsError, Try
    from lesionbench.experiment.session import Place
    from lesionbench.experiment.settings import load_experiment
    from lesionbench.plugins import Plugins
    from lesionbench.report.jobs import jobs_lines
    from lesionbench.runs.jobs import write_jobs

    if timeout is not None:
        raise SettingsError("jobs runs nothing", Try("give {timeout} to lesionbench work", timeout=timeout))
    plugins = Plugins.load()
    file = options.experiment_file(file)
    experiment = load_experiment(file, settings, plugins)
    place = Place(options.output_folder(out, file, experiment), store, file=file)
    written = write_jobs(plugins, experiment, place, array=array or at_once is not None, at_once=at_once)
    sys.stdout.writelines(f"{line}\n" for line in jobs_lines(written))
