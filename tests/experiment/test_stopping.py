"""Ending a run, or one task of it, from outside."""

import csv
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import CommandLine

pytestmark = pytest.mark.usefixtures("signals_arrive")

HANGS = ("run", "--dataset", "spy-dots", "--positive-class", "b", "--seeds", 1, "--out", "o", "--jobs", 2)
HANGS = (*HANGS, "--classifier", "spy-centroids[seconds=600]", "--classifier", "spy-centroids")


def rows(folder):
    with (folder / "o" / "cells.csv").open(newline="", encoding="utf-8") as file:
        return {row["classifier"]: row for row in csv.DictReader(file)}


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def processes_in(folder):
    """The processes whose working folder this is."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it ended meanwhile
            if link.readlink() == folder:
                found.append(link.parent.name)
    return found


@pytest.fixture
def hanging_run(tmp_path, spy_package):
    """A run in a process of its own, one of whose two cells is done and one hangs."""
    command_line = CommandLine(tmp_path, (spy_package,))
    process = subprocess.Popen(
        command_line.command(*HANGS), cwd=tmp_path, env=command_line.env(), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    hanging = tmp_path / "o" / "logs"
    done = tmp_path / "o" / "predictions"
    try:
        wait_until(lambda: done.is_dir() and len(list(hanging.glob("none_*"))) == 2 and any(done.iterdir()))
        yield command_line, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_ends_the_run_and_its_workers_and_says_how_to_go_on(hanging_run, number, status):
    command_line, process = hanging_run
    assert len(processes_in(command_line.cwd)) > 3

    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode == status
    wait_until(lambda: not processes_in(command_line.cwd), seconds=5)
    if number == signal.SIGKILL:
        (command_line.cwd / "o" / ".running" / "of-a-task-that-is-done.txt").touch()
        command_line(*HANGS, "--timeout", "1s", status=1)
        assert not (command_line.cwd / "o" / ".running").exists()
    else:
        assert "stopped; what is finished is kept (1 of 2 cells). To go on: lesionbench run o/experiment.toml" in said
        assert {row["status"] for row in rows(command_line.cwd).values()} == {"done", "waiting"}


def test_one_task_is_cancelled_and_the_rest_goes_on(hanging_run):
    command_line, process = hanging_run
    name = next(path.stem for path in (command_line.cwd / "o" / ".running").glob("*.txt"))

    finished = command_line("cancel", "o", "none_spy-centroids_fold0_seed1", status=2)
    unknown = command_line("cancel", "o", "none_spy-centroid_fold0_seed1", status=2)
    command_line("cancel", "o", name)

    process.communicate(timeout=60)
    assert process.returncode == 1
    assert "only a running task can be cancelled, but none_spy-centroids_fold0_seed1 is done" in finished.stderr
    assert "did you mean 'none_spy-centroids_fold0_seed1'" in unknown.stderr
    found = rows(command_line.cwd)
    assert found["spy-centroids"]["status"] == "done"
    assert (
        found["spy-centroids[seconds=600.0]"]["error"]
        == "spy-centroids[seconds=600.0]: cancelled by lesionbench cancel"
    )


def test_a_task_that_is_out_of_time_fails_and_is_named(with_spies):
    with_spies(*HANGS, "--timeout", "10s", status=1)

    found = rows(with_spies.cwd)

    assert found["spy-centroids"]["status"] == "done"
    assert found["spy-centroids[seconds=600.0]"]["error"].endswith("it took longer than its limit of 10 s")


@pytest.mark.parametrize("wrong", ["", "0", "-1s", "10 parsecs", "nan", "9" * 400, "400d"])
def test_a_time_limit_that_is_none_is_refused(with_spies, wrong):
    refused = with_spies(*HANGS, f"--timeout={wrong}", status=2)

    assert "a time limit is a duration such as 90s, 30m or 2h" in refused.stderr
    assert not (with_spies.cwd / "o").exists()


def test_predictions_that_the_store_lost_are_kept_until_there_are_others(with_spies):
    quick = ("run", "--dataset", "spy-dots", "--positive-class", "b", "--classifier", "spy-centroids", "--seeds", 1)
    with_spies(*quick, "--out", "o")
    path = next((with_spies.cwd / "o" / "predictions").iterdir())
    before = path.read_bytes()
    (with_spies.cwd / "o" / "store").rename(with_spies.cwd / "elsewhere")

    stopped = ("import os, signal; from lesionbench.experiment import runner; "
               "runner.Run._tasks = lambda *_: os.kill(os.getpid(), signal.SIGINT); "
               "from lesionbench.cli.main import main; main()")  # fmt: skip
    arguments = [*map(str, quick), "--out", "o"]
    python = with_spies.command()[0]
    done = subprocess.run(
        [python, "-c", stopped, *arguments], cwd=with_spies.cwd, env=with_spies.env(), capture_output=True, check=False
    )

    assert done.returncode == 130
    kept = [file for file in (with_spies.cwd / "o" / "predictions").rglob("*.csv") if file.read_bytes() == before]
    assert kept, "the predictions are gone"
    with_spies(*quick, "--out", "o")
    assert [file.name for file in (with_spies.cwd / "o" / "predictions").rglob("*")] == [path.name]
    assert path.read_bytes() == before
