"""Two dask workers against `--jobs 2` on the same grid: what the way through a scheduler costs."""

import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("distributed")

GRID = ("run", "--dataset", "skin-phantom", "--classifier", "kth-cnn[steps=300]", "--augmenter", "oversample")
GRID = (*GRID, "--synthetic", "60,120", "--seeds", "4", "--quiet")


@contextmanager
def cluster(folder):
    """The address of a scheduler with two workers of one thread each."""
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
        yield address
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.mark.benchmark(group="the same grid in two processes")
@pytest.mark.parametrize("where", ["local", "dask"])
def test_a_grid(benchmark, tmp_path, where):
    def run(address=None):
        shutil.rmtree(tmp_path / "o", ignore_errors=True)
        options = ("--executor", "dask", "--scheduler", address) if address else ("--jobs", "2")
        subprocess.run([sys.executable, "-m", "lesionbench", *GRID, *options, "--out", tmp_path / "o"], check=True)

    if where == "local":
        benchmark.pedantic(run, rounds=3)
    else:
        with cluster(tmp_path) as address:
            benchmark.pedantic(run, [address], rounds=3)
