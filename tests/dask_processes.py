"""A dask cluster on this machine: a scheduler and workers, each a process that a test can kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Cluster:
    """A scheduler and the processes of its workers; `log` is the folder for what they print."""

    log: Path
    processes: ExitStack
    address: str = ""
    workers: list[subprocess.Popen] = field(default_factory=list)
    scheduler: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the scheduler."""
        file = self.log / "scheduler.json"
        self.scheduler = self.run("scheduler", "--scheduler-file", file, "--port", 0, "--no-dashboard", env=None)
        self.address = json.loads(waited_for(lambda: file.exists() and file.read_text()))["address"]

    def add_worker(self, env: dict[str, str], *options: object) -> None:
        """Start one more worker, and wait until the scheduler knows it."""
        number = len(self.workers)
        folder = self.log / f"local-{number}"
        options = ("--nthreads", 2, "--no-nanny", "--no-dashboard", "--local-directory", folder, *options)
        self.workers.append(self.run("worker", self.address, *options, env=env))
        waited_for(lambda: "Registered to" in (self.log / f"{len(self.workers)}.log").read_text())

    def run(self, *arguments: object, env: dict[str, str] | None) -> subprocess.Popen:
        """Start a process of dask, which is killed at the end."""
        with (self.log / f"{len(self.workers) + (arguments[0] == 'worker')}.log").open("w") as log:
            command = [sys.executable, "-m", "dask", *map(str, arguments), "--host", "127.0.0.1"]
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self.processes.callback(process.wait)
        self.processes.callback(process.kill)
        return process

    @property
    def options(self) -> tuple[str, ...]:
        """The options with which a run uses it."""
        return ("--executor", "dask", "--scheduler", self.address)


def waited_for(look: Callable[[], Any], seconds: float = 120) -> Any:
    """What `look` returns, as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")


@contextmanager
def a_cluster(folder: Path, env: dict[str, str], workers: int) -> Iterator[Cluster]:
    """A cluster with this number of workers, whose logs and files are in a folder."""
    with ExitStack() as processes:
        cluster = Cluster(folder, processes)
        cluster.start()
        for _ in range(workers):
            cluster.add_worker(env)
        yield cluster
