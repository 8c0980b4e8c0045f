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
    from lesionbench.experiment.session import judge_again
    from lesionbench.experiment.settings import JUDGING
    from lesionbench.report.terminal import print_tables

    changes = {name: given[name] for name in JUDGING if given[name] is not None}
    print_tables(judge_again(folder, changes))
    sys.stdout.write(f"{folder}/leaderboard.csv\n")
