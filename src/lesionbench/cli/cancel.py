"""`lesionbench cancel`: stop one task of a run, while the rest goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def cancel(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.")],
    name: Annotated[str, typer.Argument(metavar="TASK", help="A cell of cells.csv, or a pool of logs.")],
) -> None:
    """Stop one task of a run that goes on in another terminal.

    The task fails; the rest of the grid goes on. The next run tries it again.
    """
    from lesionbench.runs.cancel import cancel as cancel_task

    cancel_task(folder, name)
    sys.stdout.write(f"{name} is cancelled\n")
