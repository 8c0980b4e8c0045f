"""`lesionbench reproduce`: run an experiment again and compare what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesionbench.cli import options


def reproduce(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of the new run. [default: RUN-again]")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare the environment; run nothing.")] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of the dataset's files.")] = None,
    jobs: options.Jobs = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print what came of it only.")] = False,
) -> None:
    """Run an experiment again and compare the results.

    First says what differs from the environment of the run. Nothing is taken from the run's store, and predictions are
    compared byte for byte. The exit status is 0 if all is identical, 1 if something differs, 2 if the run cannot be
    repeated: other images, or a plugin that is not installed.
    """
    from lesionbench.errors import SettingsError, Try
    from lesionbench.experiment.session import Place
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.progress import choose_view
    from lesionbench.report.reproduce import environment_lines, reproduced_lines
    from lesionbench.runs.reproduce import check_environment
    from lesionbench.runs.reproduce import reproduce as run_again

    if check and out is not None:
        raise SettingsError("a check runs nothing into a folder", Try("leave out {check} or {out}"))
    plugins = Plugins.load()
    differences = check_environment(folder, plugins, data)
    say(environment_lines(differences))
    if check:
        raise typer.Exit(1 if differences.deciding else 0)
    place = Place(out or folder.parent / f"{folder.resolve().name}-again", jobs=jobs)
    found = run_again(folder, place, plugins, choose_view(quiet), data)
    say([*reproduced_lines(found), f"{found.out}"])
    raise typer.Exit(0 if found.is_identical else 1)
