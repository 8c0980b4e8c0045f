"""Plugins that misbehave: each fails its own cells, and everything else is as if they were not there."""

import csv
import subprocess
from pathlib import Path

import pytest
from conftest import CommandLineHere, install

CAUSES = {
    "exit": "SystemExit: 0",
    "interrupt": "KeyboardInterrupt",
    "generator": "GeneratorExit",
    "os-exit": "it ended its process with exit status 0",
    "segfault": "its process was killed by SIGSEGV",
    "abort": "its process was killed by SIGABRT",
    "kill": "its process was killed by SIGKILL (out of memory?)",
    "terminate": "its process was killed by SIGTERM",
    "alarm": "its process was killed by SIGALRM",
    "memory": "MemoryError",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "unspeakable": "Unspeakable: and its text cannot be had, because of ValueError",
    "unpicklable": "Unpicklable: <function Unpicklable.__init__.<locals>.<lambda>",
    "surrogate": r"ValueError: a \ud800 alone",
    "long": "ValueError: xxxxxxxx",
    "closes": "ValueError: files are closed",
    "closes-all": "it closed the files that its process answers through",
    "floods": "ValueError: much was printed",
    "changes": "ValueError: everything is changed",
    "processes": "ValueError: processes are left",
    "hangs": "it took longer than its limit of 20 s",
    "hangs-in-c": "it took longer than its limit of 20 s",
    "stops": "it took longer than its limit of 20 s",
}
SOME = ("exit", "os-exit", "changes", "surrogate", "closes-all", "processes", "floods")
GOOD = ("run", "--dataset", "spy-dots", "--positive-class", "b", "--seeds", 2, "--augmenter", "oversample")
GOOD = (*GOOD, "--synthetic", 5, "--classifier", "spy-centroids")


@pytest.fixture(scope="session")
def bad_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    code = (Path(__file__).parent.parent / "packages" / "misbehaving.py").read_text(encoding="utf-8")
    return install(folder / "source", "lesionbench-misbehaving", code, folder / "site")


@pytest.fixture
def with_both(tmp_path, spy_package, bad_package):
    return CommandLineHere(tmp_path, (spy_package, bad_package))


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_that_only_the_bad_ones_fail(command_line, ways):
    bad = [f"--classifier=misbehaving[how={way}]" for way in ways]
    command_line(*GOOD, *bad, "--jobs", 2, "--timeout", "20s", "--out", "both", status=1)
    command_line(*GOOD, "--jobs", 2, "--out", "good")

    both, good = command_line.cwd / "both", command_line.cwd / "good"
    rows = table(both / "cells.csv")
    for way in ways:
        errors = [row["error"] for row in rows if row["classifier"] == f"misbehaving[how={way}]"]
        assert len(errors) == 4
        assert all(error.startswith(f"misbehaving[how={way}]: {CAUSES[way]}") for error in errors), errors
    assert all(row["status"] == "failed" for row in rows if "misbehaving" in row["classifier"])
    for path in sorted((good / "predictions").iterdir()):
        assert (both / "predictions" / path.name).read_bytes() == path.read_bytes()
    ours = [row for row in table(both / "leaderboard.csv") if row["classifier"] == "spy-centroids"]
    assert ours == table(good / "leaderboard.csv")
    assert not (both / ".running").exists()
    assert all(path.stat().st_size < 2**25 for path in both.rglob("output.txt"))
    assert "sleep 1234" not in subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout


def test_plugins_that_misbehave_fail_their_own_cells_by_name_and_change_no_other(with_both):
    check_that_only_the_bad_ones_fail(with_both, SOME)


@pytest.mark.slow
def test_more_than_twenty_ways_to_misbehave_fail_their_own_cells_by_name_and_change_no_other(with_both):
    check_that_only_the_bad_ones_fail(with_both, CAUSES)
