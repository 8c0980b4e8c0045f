"""Runs that are killed at random moments end with the same bytes as a run that nobody disturbed."""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CommandLine, install
from faults.killing import Seen, kill_until_done, left_over
from run_folders import results

KILLS = int(os.environ.get("LESIONBENCH_TEST_KILLS", "50"))
GRID = ["run", "--dataset", "skin-phantom[size=32,train=60,test=20]", "--augmenter", "dcgan[steps=150]"]
GRID += ["--augmenter", "acgan[width=4,steps=100]", "--synthetic", "8", "--classifier", "kth-cnn[steps=30]"]
GRID += ["--seeds", "2", "--jobs", "2", "--out", "out", "--store", "store"]


@pytest.fixture
def checkpointing(tmp_path: Path) -> CommandLine:
    """The command line with checkpoints every few steps."""
    code = (Path(__file__).parent / "frequent_checkpoints.py").read_text(encoding="utf-8")
    site = install(tmp_path / "source", "frequent-checkpoints", code, tmp_path / "site")
    (tmp_path / "reference").mkdir()
    return CommandLine(tmp_path / "reference", (site,))


def resumed(out: Path) -> int:
    """How many fits went on from a checkpoint."""
    return sum("resumed_at_step" in path.read_text(encoding="utf-8") for path in out.glob("logs/*/progress.jsonl"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_runs_lose_nothing_repeat_nothing_and_leave_nothing(checkpointing, tmp_path):
    checkpointing(*GRID)
    wanted = results(checkpointing.cwd / "out")
    chance, seen, grid, went_on = random.Random(KILLS), Seen(), 0, 0
    while seen.kills.total() < KILLS:
        place = tmp_path / f"grid{(grid := grid + 1)}"
        place.mkdir()
        kill_until_done(replace(checkpointing, cwd=place), GRID, chance, KILLS, 6.0, seen)

        assert results(place / "out") == wanted
        assert left_over(place) == []
        went_on += resumed(place / "out")

    print(f"{seen} in {grid} grids; {went_on} fits went on from a checkpoint")
    assert seen.survivors == []
    assert seen.changed == []
    assert seen.errors == []
