"""`lesionbench leaderboard`: make the leaderboard again from the predictions of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
) -> None:
    """Make leaderboard.csv again from the predictions of a run, byte for byte, and print it."""
    from lesionbench.cli.tables import print_comparison, print_leaderboard
    from lesionbench.experiment.tables import write_tables

    tables = write_tables(folder)
    print_leaderboard(tables.leaderboard)
    print_comparison(tables.comparison)
    sys.stdout.write(f"{folder}/leaderboard.csv\n")
