"""Processes on this machine."""

import multiprocessing
import os
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from lesionbench.workers.apart import run_apart
from lesionbench.workers.local import Started, local_workers

SCRIPT = """
from lesionbench.workers.local import local_workers
from lesionbench.workers.apart import run_apart

print("the script runs")
with local_workers(2) as workers:
    print(list(workers.executor.map(run_apart, [abs, abs], [-2, -1])))
"""


def test_a_script_without_a_main_guard_is_not_run_again_by_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["the script runs", "[2, 1]"]


def test_processes_that_started_early_take_the_first_tasks_and_the_others_end():
    started = Started(3, bool)
    processes = [kept for kept, _ in started._waiting]
    with closing(started), local_workers(2, started=started) as workers:
        parents = set(workers.executor.map(run_apart, [os.getppid] * 2))
        assert parents <= {worker_of(kept) for kept in processes}
    assert all(kept.is_stopped for kept in processes)
    assert all(kept._process is None or kept._process._popen.poll() is not None for kept in processes)


def test_an_interruption_does_not_wait_for_processes_that_get_ready():
    began = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        closing(Started(1, partial(time.sleep, 100))) as started,
        local_workers(1, started=started) as workers,
    ):
        workers.executor.submit(run_apart, bool)
        while started._waiting:
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() < began + 60


def worker_of(kept):
    """The process that copies itself for tasks: the one child of the keeper."""
    keeper = kept._process._popen.pid
    return int(Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])


def test_an_interruption_stops_the_workers_and_no_other_process_of_the_script():
    own = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    own.start()
    try:
        with pytest.raises(KeyboardInterrupt), local_workers(1) as workers:
            workers.executor.submit(run_apart, time.sleep, 60)
            raise KeyboardInterrupt
        own.join(2)
        assert own.is_alive()
    finally:
        own.terminate()
        own.join()
