"""`lesionbench explain`: is a cell done, and why does it run again?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
    name: Annotated[str, typer.Argument(metavar="CELL", help="A cell of cells.csv, or a pool of logs.")],
) -> None:
    """Say whether a cell is done, and what made it run again.

    Compares what it is made from here and now, part by part, with what the nearest earlier entry of the store was
    made from. Nothing is written.
    """
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.explain import explanation_lines
    from lesionbench.runs.explain import explain as explanation

    found = explanation(folder, name, Plugins.load())
    say(explanation_lines(found, folder))
