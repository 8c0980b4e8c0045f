"""`lesionbench leaderboard`: make every table again from the predictions of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lesionbench.cli import options


def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
    baseline: options.Baseline = None,
    margin: options.Margin = None,
    judged_by: options.JudgedBy = None,
    operating_point: options.OperatingPoint = None,
) -> None:
    """Make every table again from the predictions of a run, byte for byte, and print the leaderboard and the verdicts.

    An option judges the same predictions in another way, which the run's folder then keeps.
    """
    given = locals()
    from lesionbench.experiment.output import judge_otherwise
    from lesionbench.experiment.settings import JUDGING
    from lesionbench.experiment.tables import write_tables
    from lesionbench.report.terminal import print_tables

    changes = {name: given[name] for name in JUDGING if given[name] is not None}
    if changes:
        judge_otherwise(folder, changes)
    print_tables(write_tables(folder))
    sys.stdout.write(f"{folder}/leaderboard.csv\n")
