"""Killing runs at random moments, and looking at what they leave behind."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from conftest import CommandLine

ENDS_WITHIN = 5.0  # seconds in which all processes of a run end after their runner
PATIENCE = 300  # seconds for one start of a grid
RUNNER_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass
class Seen:
    """What was killed, and everything that must not happen."""

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    survivors: list[str] = field(default_factory=list)  # processes that outlived their runner
    changed: list[str] = field(default_factory=list)  # entries of the store that were made again
    errors: list[str] = field(default_factory=list)  # unexpected words on a screen

    def __str__(self) -> str:
        return f"{self.kills.total()} kills in {self.starts} starts: {dict(self.kills)}"


def kill_until_done(
    lesionbench: CommandLine, arguments: list[str], chance: random.Random, kills: int, longest: float, seen: Seen
) -> None:
    """Start a run, kill it or its workers at random moments and start it again, until its grid is done.

    After `kills` kills in all it is left alone.  longest: the longest wait in seconds before a kill.
    """
    entries: dict[Path, int] = {}
    while True:
        seen.starts += 1
        status = _one_start(lesionbench, arguments, chance, kills, longest, seen)
        _compare(lesionbench.cwd / "store", entries, seen)
        if status == 0:
            return


def _one_start(
    lesionbench: CommandLine, arguments: list[str], chance: random.Random, kills: int, longest: float, seen: Seen
) -> int:
    with (lesionbench.cwd / "screen.txt").open("w+") as screen:
        runner = subprocess.Popen(
            lesionbench.command(*arguments),
            cwd=lesionbench.cwd,
            env=lesionbench.env(),
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        family: set[psutil.Process] = set()
        end = time.monotonic() + PATIENCE
        while runner.poll() is None and seen.kills.total() < kills:
            if chance.random() < 0.8:  # otherwise it may be killed before its tasks begin
                _wait_for_tasks(runner, family)
            _watch(runner, chance.uniform(0, longest), family)
            _kill_one(runner, family, chance, seen)
        while runner.poll() is None and time.monotonic() < end:
            _watch(runner, 1.0, family)
        if runner.poll() is None:
            runner.kill()
            seen.errors.append(f"did not end within {PATIENCE} s")
        _, alive = psutil.wait_procs(family, timeout=ENDS_WITHIN)
        seen.survivors += [f"{process.pid} {_command(process)}" for process in alive]
        screen.seek(0)
        text = screen.read()
    if "Traceback" in text and "importlib._bootstrap" not in text:  # Ctrl-C while Python imports, before `main`
        seen.errors.append(text[-2000:])
    return runner.returncode


def _watch(runner: subprocess.Popen[bytes], seconds: float, family: set[psutil.Process]) -> None:
    """Wait, and note every process that the runner starts meanwhile."""
    end = time.monotonic() + seconds
    while True:
        with suppress(psutil.Error):
            family.update(psutil.Process(runner.pid).children(recursive=True))
        left = end - time.monotonic()
        if left <= 0 or runner.poll() is not None:
            return
        time.sleep(min(0.1, left))


def _wait_for_tasks(runner: subprocess.Popen[bytes], family: set[psutil.Process]) -> None:
    end = time.monotonic() + PATIENCE
    while not family and runner.poll() is None and time.monotonic() < end:
        _watch(runner, 0.1, family)


def _kill_one(runner: subprocess.Popen[bytes], family: set[psutil.Process], chance: random.Random, seen: Seen) -> None:
    """Kill the runner, or one of the processes that it started."""
    living = [process for process in sorted(family, key=lambda one: one.pid) if process.is_running()]
    if living and chance.random() < 0.5:
        with suppress(psutil.Error):
            chance.choice(living).kill()
            seen.kills["SIGKILL of a worker"] += 1
    elif runner.poll() is None:
        chosen = chance.choice(RUNNER_SIGNALS)
        runner.send_signal(chosen)
        seen.kills[f"{chosen.name} of the runner"] += 1
        with suppress(subprocess.TimeoutExpired):
            runner.wait(30)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "?"


def _compare(store: Path, entries: dict[Path, int], seen: Seen) -> None:
    """Note the entries that are there, and tell those that were replaced since the last look."""
    for manifest in store.glob("*/*/manifest.json"):
        inode = manifest.stat().st_ino
        if entries.setdefault(manifest, inode) != inode:
            seen.changed.append(str(manifest.parent.relative_to(store)))


def left_over(folder: Path) -> list[str]:
    """The files and folders that only a run in progress may have: drafts, claims, checkpoints, what tasks print."""
    allowed = {".lock", ".tables.json"}
    hidden = [path for path in folder.rglob(".*") if path.name not in allowed]
    temporary = [path for name in ("claims", "unfinished", "damaged", "drafts") for path in folder.glob(f"*/{name}/*")]
    files = [path for path in [*hidden, *temporary] if not path.is_dir() or any(path.iterdir())]
    return sorted(str(path.relative_to(folder)) for path in files)
