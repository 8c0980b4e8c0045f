"""`lesionbench work`: do the jobs that `lesionbench jobs` wrote, one by its index or all that are ready."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lesionbench.workers.local import MOST_JOBS


def work(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `lesionbench jobs` wrote into.")],
    index: Annotated[
        int | None, typer.Option(metavar="I", min=0, help="The job to do. [default: all, until none is left]")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, max=MOST_JOBS, help="Jobs at a time, without --index.")] = 1,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long one task may take, such as 90s or 2h.")
    ] = None,
) -> None:
    """Do one job of a list, or all, beside others that do so.

    Any number of times, in any order, on any machine that sees the folder. Exit status 1 when a job fails.
    """
    from lesionbench.experiment.duration import seconds_of
    from lesionbench.experiment.work import work_on

    failed = work_on(run, index, _say, jobs, None if timeout is None else seconds_of(timeout))
    for name, cause in failed.items():
        sys.stderr.write(f"lesionbench: {name} failed: {cause}; see {run}/logs/{name}/error.txt\n")
    if index is None:
        _say(f"nothing is left to do; the tables: lesionbench leaderboard {run}")
    raise typer.Exit(1 if failed else 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
