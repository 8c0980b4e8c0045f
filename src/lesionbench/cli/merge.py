"""`lesionbench merge`: join runs of the same protocol into one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="The output folders of two or more runs.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the new run.")],
) -> None:
    """Join runs of the same protocol into one run.

    Arms, doses and classifiers are joined. Runs with other images, divisions, settings, plugin code or versions of
    libraries are refused, and so is a cell with different predictions in two of them.
    """
    from lesionbench.report.console import say
    from lesionbench.report.merge import merge_lines
    from lesionbench.report.terminal import print_tables
    from lesionbench.runs.merge import merge as join

    merged = join(folders, out)
    print_tables(merged.tables)
    say([*merge_lines(merged), f"{out}/leaderboard.csv"])
    raise typer.Exit(1 if merged.failed or merged.waiting else 0)
