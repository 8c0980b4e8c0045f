"""Executors that other packages bring."""

import shutil

import pytest
from conftest import CommandLineHere

from lesionbench.errors import SettingsError
from lesionbench.workers.entry_points import Executors

MODULE = '''
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pydantic import Field

from lesionbench import Executor, Workers


class Threads(Executor):
    """Threads of this process."""

    tasks: int = Field(1, ge=1, description="tasks at a time")

    @contextmanager
    def open(self, opening):
        with ThreadPoolExecutor(self.tasks) as pool:
            yield Workers(pool, self.tasks)


class Shut(Executor):
    """One that cannot be opened."""

    def open(self, opening):
        raise RuntimeError("the site is closed")


not_one = ThreadPoolExecutor
'''
ENTRIES = """
[lesionbench.executors]
threads = their_executors:Threads
shut = their_executors:Shut
pool = their_executors:not_one
gone = their_executors:Missing
dask = their_executors:Threads
"""
GRID = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 2)


@pytest.fixture
def command_line(tmp_path, spy_package):
    """The command line with a package of executors, some of them broken."""
    folder = tmp_path / "site"
    installed = folder / "their_executors-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: their-executors\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(ENTRIES)
    (folder / "their_executors.py").write_text(MODULE)
    return CommandLineHere(tmp_path, (spy_package, folder))


def test_executors_are_listed_and_broken_ones_say_why(command_line):
    listed = command_line("plugins").stdout

    assert "Threads of this process.  (their-executors)" in listed
    assert "their-executors (pool): TypeError: an executor is a class that extends lesionbench.Executor" in listed
    assert "their-executors (gone): AttributeError" in listed
    assert "their-executors (dask): ValueError: the executor 'dask' is that of lesionbench" in listed
    assert "tasks = 1  tasks at a time" in command_line("plugins", "threads").stdout


def test_an_executor_of_another_package_gives_the_same_bytes_as_local_processes(command_line):
    command_line(*GRID, "--jobs", 2, "--out", "local")
    command_line(*GRID, "--executor", "threads[tasks=2]", "--out", "theirs")

    local, theirs = (command_line.cwd / name / "leaderboard.csv" for name in ("local", "theirs"))
    assert theirs.read_bytes() == local.read_bytes()


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="needs a machine without a GPU")
def test_a_gpu_need_not_be_here_when_the_tasks_run_elsewhere(command_line):
    command_line(*GRID, "--device", "cuda", "--executor", "threads[tasks=2]", "--out", "o")

    assert 'device = "cuda"' in (command_line.cwd / "o" / "experiment.toml").read_text()


def test_an_executor_is_checked_with_its_settings(command_line):
    kept = command_line("check", "threads[tasks=2]").stdout
    broken = command_line("check", "shut", status=1).stdout

    assert "threads[tasks=2]: 6 ok, 0 failed, 0 skipped" in kept
    assert "  FAILED   it has room for a task: RuntimeError: the site is closed" in broken


def test_an_executor_that_cannot_be_opened_is_one_message(command_line):
    shut = command_line(*GRID, "--executor", "shut", "--out", "o", status=1)

    assert shut.stderr.splitlines()[-1].startswith(
        "lesionbench: the executor could not be opened (RuntimeError: the site is closed); what is finished is kept"
    )


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("dusk", "no executor 'dusk' is installed; did you mean 'dask'"),
        ("local[jobs=2]", "executor 'local' has no setting 'jobs' (settings: none)"),
        ("submitit[time=0]", "time: Input should be greater than or equal to 1, not '0'"),
        ("submitit[", "is written NAME or NAME[key=value,...]"),
    ],
)
def test_a_wrong_executor_is_refused_with_what_would_be_right(spec, told):
    with pytest.raises(SettingsError) as refused:
        Executors.load().make(spec)

    assert told in str(refused.value)
