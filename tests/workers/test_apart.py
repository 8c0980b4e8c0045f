"""A task in a process of its own."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import made_tasks
import pytest
from made_tasks import dirty, number_of_process, pages_fetched_again, traces, writes

from lesionbench.workers.apart import (
    Cancelled,
    Died,
    KeptProcess,
    Limits,
    OutOfTime,
    Stopped,
    keep_in_thread,
    kept_memory,
    run_apart,
)
from lesionbench.workers.child import Raised


@pytest.fixture(autouse=True, scope="module")
def a_process():
    """One worker for all tests of this file."""
    kept = KeptProcess()
    keep_in_thread(kept)
    yield
    kept.stop()
    keep_in_thread(KeptProcess())


def test_each_task_has_a_process_of_its_own_from_one_worker():
    first, second = run_apart(number_of_process), run_apart(number_of_process)

    assert first[0] != second[0]
    assert first[1] == second[1]
    assert os.getpid() not in (*first, *second)


def test_what_a_task_does_to_its_process_ends_with_it():
    before = run_apart(traces)

    assert run_apart(dirty) != before
    assert run_apart(traces) == before == (None, str(Path.cwd()), False, 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings")
def test_a_task_keeps_the_memory_that_it_frees():
    assert run_apart(pages_fetched_again) < 100


@pytest.mark.parametrize(
    ("function", "args", "ended"),
    [
        (os._exit, (3,), Died(code=3)),
        (os.abort, (), Died(signal=signal.SIGABRT)),
        (signal.raise_signal, (signal.SIGKILL,), Died(signal=signal.SIGKILL)),
    ],
)
def test_a_process_that_dies_is_a_result_and_the_next_task_runs(function, args, ended):
    assert run_apart(function, *args) == ended
    assert run_apart(abs, -1) == 1


@pytest.mark.parametrize(
    ("function", "args", "error"), [(sys.exit, (0,), "SystemExit: 0"), (int, ("a",), "ValueError")]
)
def test_an_exception_is_a_result_with_its_traceback(function, args, error):
    ended = run_apart(function, *args)

    assert isinstance(ended, Raised)
    assert ended.error.startswith(error)
    assert "Traceback" in ended.traceback


def test_a_task_that_takes_too_long_is_ended():
    assert run_apart(time.sleep, 1000, limits=Limits(seconds=0.3)) == OutOfTime(0.3)


def test_a_task_is_cancelled_by_a_file_which_is_removed(tmp_path):
    (tmp_path / "cancel").touch()

    assert run_apart(time.sleep, 1000, limits=Limits(cancel=tmp_path / "cancel")) == Cancelled()
    assert not (tmp_path / "cancel").exists()


def test_what_a_task_prints_goes_into_its_file_and_it_reads_nothing(tmp_path, capfd):
    read = run_apart(writes, "\ud800 from Python", limits=Limits(log=tmp_path / "log"))

    assert read == ("", False)
    assert (tmp_path / "log").read_text() == "\\ud800 from Python\nraw from another program\n"
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_was_killed_while_it_waited_is_replaced():
    _, worker = run_apart(number_of_process)
    os.kill(worker, signal.SIGKILL)
    time.sleep(0.2)

    assert run_apart(abs, -1) == 1


def test_an_interruption_ends_the_task_and_the_next_one_gets_its_own_answer(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lesionbench.workers.apart._shorten", interrupt)
        run_apart(time.sleep, 1000, limits=Limits(log=Path(os.devnull)))

    assert run_apart(abs, -1) == 1


def test_a_stopped_process_runs_nothing_more():
    kept = KeptProcess()
    found = []

    def task():
        keep_in_thread(kept)
        for function, argument in ((time.sleep, 1000), (abs, -1)):
            with pytest.raises(Stopped):
                run_apart(function, argument)
            found.append(function)

    thread = threading.Thread(target=task)
    thread.start()
    time.sleep(1.0)
    kept.stop()
    thread.join(20)

    assert found == [time.sleep, abs]


STARTS = """
import sys
sys.path.insert(0, sys.argv[1])
from made_tasks import starts_another_and_hangs
from lesionbench.workers.apart import run_apart
run_apart(starts_another_and_hangs, sys.argv[2])
"""


def test_everything_a_task_started_ends_with_the_process_that_wanted_it_even_in_the_middle_of_c(tmp_path):
    noted = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, "-c", STARTS, str(Path(made_tasks.__file__).parent), str(noted)])
    end = time.monotonic() + 60
    while not (noted.exists() and noted.read_text().count(" ")) and time.monotonic() < end:
        time.sleep(0.05)
    pids = [int(pid) for pid in noted.read_text().split()]

    parent.kill()
    parent.wait()

    end = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize(("version", "threshold"), [("2.28", 2**25), ("2.36", 2**30), ("3.0", 2**30)])
def test_glibc_gets_no_larger_threshold_than_it_accepts(version, threshold):
    assert f"{threshold}" == kept_memory("glibc", version)["MALLOC_MMAP_THRESHOLD_"]


def test_other_c_libraries_get_no_settings():
    assert {} == kept_memory("", "")
