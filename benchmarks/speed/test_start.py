"""How long a person waits before anything happens; whole processes, Python's own start beside ours."""

import subprocess
import sys

import pytest
from conftest import EXPERIMENT, lesionbench


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
