"""Stopping one task of a run that another process runs, while the rest of the grid goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError
from lesionbench.experiment.grid import Cell, PoolJob, find_task, tasks_of
from lesionbench.experiment.output import predictions_path, read_settings
from lesionbench.experiment.tasks import RUNNING, task_files

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 10.0  # seconds until nobody is there who runs the task
LOOK = 0.1


def cancel(out: Path, name: str) -> None:
    """Stop a running task of the run in `out`: it fails, and the next run tries it again.

    name: a cell of cells.csv, or a pool or a part of a fit as in logs.
    Raises SettingsError when the run has no such task or it does not run now, OutputError when `out` holds no run.
    """
    experiment, resolved = read_settings(out)
    running = sorted(path.stem for path in (out / RUNNING).glob("*.txt"))
    if name not in running:
        task = find_task(tasks_of(experiment, int(resolved["folds"])), name, out)
        parts = [one for one in running if isinstance(task, PoolJob) and one.startswith(f"{name}_")]
        if parts:
            raise SettingsError(f"of {name}, these parts run, and each is cancelled by its name: {', '.join(parts)}")
        done = isinstance(task, Cell) and predictions_path(out, task).exists()
        raise SettingsError(f"only a running task can be cancelled, but {name} {'is done' if done else 'does not run'}")
    _, asked = task_files(name, out)
    asked.touch()
    end = time.monotonic() + PATIENCE
    while asked.exists():
        if time.monotonic() > end:
            asked.unlink(missing_ok=True)
            raise SettingsError(f"{name} was not cancelled: no process answers, so nothing runs in {out} any more")
        time.sleep(LOOK)
