"""`lesionbench leaderboard`: print the tables of a run; those that are not as they were written are made again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from lesionbench.cli import options
from lesionbench.experiment.settings import JUDGING


@options.with_settings(JUDGING, default="the run's")
def leaderboard(
    settings: dict[str, Any],
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
) -> None:
    """Print a run's leaderboard again, or judge it in another way.

    A table that is missing, edited or out of date is made again from the predictions; the run's folder keeps the
    options given here.
    """
    from lesionbench.experiment.job_list import has_list
    from lesionbench.experiment.session import judge_again
    from lesionbench.report.console import say
    from lesionbench.report.terminal import print_tables, unfinished_lines

    tables = judge_again(folder, settings)
    print_tables(tables)
    go_on = f"lesionbench {'work' if has_list(folder) else 'run'} {shlex.quote(str(folder))}"
    say([*unfinished_lines(tables, folder, go_on), f"{folder}/leaderboard.csv"])
