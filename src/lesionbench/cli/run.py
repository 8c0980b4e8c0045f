"""`lesionbench run`: run an experiment and print its leaderboard."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lesionbench.cli import options
from lesionbench.cli.signals import end_stopped
from lesionbench.errors import LesionbenchError, StoreError, WorkersLost
from lesionbench.experiment.settings import JUDGING

if TYPE_CHECKING:
    from lesionbench.experiment.session import Finished


@options.with_settings(options.USUAL, (*JUDGING, *options.RARE))
def run(
    settings: dict[str, Any],
    file: options.File = None,
    out: options.Out = None,
    jobs: options.Jobs = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the leaderboard only.")] = False,
    store: options.StoreAddress = None,
    executor: Annotated[str, typer.Option(metavar="NAME", help="Where tasks run.")] = "local",
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The dask scheduler.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long one task may take, such as 90s or 2h.")
    ] = None,
) -> None:
    """Run every arm on the same splits and print the leaderboard.

    What is finished is skipped, so the same command goes on with a run that was stopped.
    """
    from lesionbench.experiment.session import Place, run_experiment
    from lesionbench.experiment.settings import load_experiment
    from lesionbench.plugins import Plugins
    from lesionbench.report.progress import choose_view

    plugins = Plugins.load()
    file = options.experiment_file(file)
    experiment = load_experiment(file, settings, plugins)
    folder = options.output_folder(out, file, experiment)
    view = choose_view(quiet)
    if "dataset" not in settings and file is None:
        view.say(f"no --dataset was named, so the built-in {experiment.dataset} is used")
    place = Place(folder, store, jobs, executor, scheduler, file, timeout)
    try:
        finished = run_experiment(plugins, experiment, place, view)
    except KeyboardInterrupt:
        _stopped(folder)
    except (StoreError, WorkersLost):
        _show_what_is_done(folder)
        raise
    _show(finished)
    raise typer.Exit(1 if finished.failed_cells else 0)


def _show(finished: Finished) -> None:
    """Print the tables of a run, how many of its cells failed, and where everything is."""
    from lesionbench.report.console import say
    from lesionbench.report.terminal import print_tables
    from lesionbench.report.words import count

    out = finished.out
    print_tables(finished.tables)
    if finished.failed_cells:
        failed = count(finished.failed_cells, "cell")
        say([f"{failed} failed; the reasons are in {out}/cells.csv and {out}/logs; the same command tries again"])
    say([f"{out}/leaderboard.csv"])


def _show_what_is_done(folder: Path) -> None:
    """Print the tables of a run that could not go to its end; nothing before its first cell is done."""
    from lesionbench.experiment.tables import write_tables
    from lesionbench.report.console import say
    from lesionbench.report.terminal import print_tables, unfinished_lines

    with suppress(LesionbenchError):  # what stopped the run is what to say
        tables = write_tables(folder)
        if len(tables.failed) + tables.waiting < tables.cells:
            print_tables(tables)
            go_on = f"lesionbench run {shlex.quote(str(folder))}"
            say([*unfinished_lines(tables, folder, go_on), f"{folder}/leaderboard.csv"])


def _stopped(folder: Path) -> NoReturn:
    """Say how to go on with a run that was stopped; a run that has not begun leaves nothing to go on with."""
    from lesionbench.experiment.output import SETTINGS
    from lesionbench.experiment.session import finished_cells

    if not (folder / SETTINGS).exists():
        raise KeyboardInterrupt
    done, total = finished_cells(folder)
    kept = f"what is finished is kept ({done} of {total} cells)" if total else "what is finished is kept"
    end_stopped(kept, f"lesionbench run {shlex.quote(f'{folder}/{SETTINGS}')}")
