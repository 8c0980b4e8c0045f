"""How long a person waits before anything happens; whole processes, Python's own start beside ours."""

import subprocess
import sys

import pytest

EXPERIMENT = ("run", "--augmenter", "oversample", "--synthetic", "60", "--classifier", "kth-cnn[steps=20]")
EXPERIMENT = (*EXPERIMENT, "--seeds", "2", "--out", "o", "--quiet")


def lesionbench(*arguments, cwd):
    subprocess.run([sys.executable, "-m", "lesionbench", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the experiment above is finished."""
    folder = tmp_path_factory.mktemp("finished")
    lesionbench(*EXPERIMENT, cwd=folder)
    return folder


@pytest.mark.benchmark(group="start")
def test_python_alone(benchmark, tmp_path):
    benchmark.pedantic(subprocess.run, [[sys.executable, "-c", ""]], {"cwd": tmp_path}, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="start")
@pytest.mark.parametrize("command", ["--help", "plugins"])
def test_a_command_that_only_looks(benchmark, tmp_path, command):
    benchmark.pedantic(lesionbench, [command], {"cwd": tmp_path}, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="start")
def test_a_finished_experiment_again(benchmark, finished):
    benchmark.pedantic(lesionbench, EXPERIMENT, {"cwd": finished}, rounds=5, warmup_rounds=1)
