"""`lesionbench work`: do the jobs that `lesionbench jobs` wrote, one by its index or all that are ready."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from lesionbench.cli.signals import end_stopped
from lesionbench.plain_text import visible
from lesionbench.workers.executors import MOST_JOBS


def work(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `lesionbench jobs` wrote into.")],
    index: Annotated[
        int | None, typer.Option(metavar="I", min=0, help="The job to do. [default: all, until none is left]")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=MOST_JOBS, help="Jobs at a time. [default: 1]")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long one task may take, such as 90s or 2h.")
    ] = None,
) -> None:
    """Do one job of a list, or all, beside others that do so.

    Any number of times, in any order, on any machine that sees the folder. Exit status 1 when a job fails. A job that
    is stopped has not failed; whoever comes next makes it.
    """
    from lesionbench.errors import SettingsError, Try
    from lesionbench.experiment.duration import seconds_of
    from lesionbench.report.console import say
    from lesionbench.report.words import count
    from lesionbench.runs.work import work_on

    if index is not None and jobs is not None:
        raise SettingsError("one job of the list is done by one process", Try("leave out {jobs}, or {index} to do all"))
    seconds, folder = None if timeout is None else seconds_of(timeout), shlex.quote(str(run))
    try:
        failed = work_on(run, index, lambda line: say([line]), jobs or 1, seconds)
    except KeyboardInterrupt:
        end_stopped("what is finished is kept", f"lesionbench work {folder}")
    for name, cause in failed.items():
        sys.stderr.write(visible(f"lesionbench: {name} failed: {cause}; see {run}/logs/{name}/error.txt\n"))
    if index is None:
        again = f"; {count(len(failed), 'task')} failed, and the same command tries them again" if failed else ""
        say([f"nothing is left to do{again}; the tables: lesionbench leaderboard {folder}"])
    raise typer.Exit(1 if failed else 0)
