"""The same grid on two dask workers and with `--jobs 2`: what the way through a scheduler costs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil
from pairs import Cost, Options, Row, Sides, cost_of_command

if TYPE_CHECKING:
    from collections.abc import Iterator

GRID = ("run", "--dataset", "skin-phantom", "--augmenter", "oversample", "--synthetic", "60,120", "--quiet")
GRID = (*GRID, "--seeds", "2", "--out", "o")


@contextmanager
def on_dask(options: Options) -> Iterator[Sides]:
    """A run on two dask workers of one thread each, and the same run without dask."""
    steps = 10 if options.quick else 200
    with TemporaryDirectory() as name, _cluster(Path(name)) as (address, cluster):
        run = (sys.executable, "-m", "lesionbench", *GRID, "--classifier", f"kth-cnn[steps={steps}]")

        def cost(*where: str) -> Cost:
            shutil.rmtree(Path(name) / "o", ignore_errors=True)
            before = _processor_seconds(cluster)
            found = cost_of_command([*run, *where], Path(name))
            return replace(found, processor=found.processor + _processor_seconds(cluster) - before)

        yield Sides(lambda: cost("--executor", "dask", "--scheduler", address), lambda: cost("--jobs", "2"))


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of the scheduler, and the processes of the cluster."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask, here = (sys.executable, "-m", "dask"), ("--host", "127.0.0.1", "--no-dashboard")
    started = [subprocess.Popen([*dask, "scheduler", "--port", "0", "--scheduler-file", file, *here], **quiet)]
    try:
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", folder, *here]
        started += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        time.sleep(5)
        yield address, started
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _processor_seconds(processes: list[subprocess.Popen]) -> float:
    """Of these processes, of those that they have started, and of those that have ended."""
    started = [psutil.Process(process.pid) for process in processes]
    everything = [*started, *(child for process in started for child in process.children(recursive=True))]
    return sum(sum(process.cpu_times()[:4]) for process in everything)  # user and system, own and of ended children


SAYS = "the same run with `--jobs 2`"
ROWS = [Row("dask", "a grid of 6 cells on two dask workers", "s", SAYS, on_dask)]
