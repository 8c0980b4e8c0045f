"""Runs on a real dask cluster: a scheduler and workers with two threads, each a process on this machine."""

import csv
import shutil
import subprocess
import time
from threading import Timer

import pytest
from conftest import CommandLine
from dask_processes import a_cluster, waited_for
from run_folders import results

from lesionbench.errors import SettingsError, WorkersLost
from lesionbench.workers.dask_cluster import Dask
from lesionbench.workers.executors import KEPT, Needs

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

GRID = ("run", "--dataset", "spy-dots", "--positive-class", "b", "--augmenter", "spy-copies", "--synthetic", "5")
GRID = (*GRID, "--seeds", "3")
SHORT, LONG = ("--classifier", "spy-centroids[seconds=0.5]"), ("--classifier", "spy-centroids[seconds=200]")


@pytest.fixture(scope="module")
def command_line(tmp_path_factory, spy_package):
    return CommandLine(tmp_path_factory.mktemp("dask"), (spy_package,))


@pytest.fixture(scope="module")
def cluster(command_line, tmp_path_factory):
    """Two workers; no test may harm them."""
    with a_cluster(tmp_path_factory.mktemp("cluster"), command_line.env(), 2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def local(command_line):
    """The tables of the grid, made by local processes."""
    command_line(*GRID, *SHORT, "--jobs", 2, "--out", "local")
    return results(command_line.cwd / "local")


def statuses(out):
    try:
        with (out / "cells.csv").open(newline="") as file:
            return [row["status"] for row in csv.DictReader(file)]
    except OSError:
        return []


def begun(command_line, cluster, out, until, grid=(*GRID, *SHORT)):
    """The grid, running on a cluster, as soon as the folder of the run is as `until` wants it."""
    command = command_line.command(*grid, *cluster.options, "--out", out)
    run = subprocess.Popen(
        command, cwd=command_line.cwd, env=command_line.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    waited_for(lambda: until(command_line.cwd / out) or run.poll() is not None)
    return run


def has_begun(out):
    return "waiting" in statuses(out)


def has_a_cell(out):
    return "done" in statuses(out)


def edited_spies(spy_package, folder):
    """The spy plugins with another random state, installed in a folder of their own."""
    shutil.copytree(spy_package, folder)
    module = folder / "lesionbench_spy.py"
    module.write_text(module.read_text().replace("random.normal(0, 2,", "random.normal(0, 3,"))
    return folder


def test_workers_with_two_threads_give_the_same_bytes_as_local_processes(command_line, cluster, local):
    command_line(*GRID, *SHORT, *cluster.options, "--out", "dask")

    assert results(command_line.cwd / "dask") == local
    assert not (command_line.cwd / "dask" / ".running").exists()


def test_a_gpu_that_no_worker_declares_is_refused_with_what_to_type(cluster):
    with pytest.raises(SettingsError, match=r"dask worker tcp://\S+ --resources GPU=1"):
        Dask(scheduler=cluster.address).check(Needs(gpus=1))


@pytest.mark.slow
def test_a_worker_with_another_version_of_a_plugin_is_named_and_nothing_is_written(
    command_line, spy_package, tmp_path, local
):
    edited = CommandLine(command_line.cwd, (edited_spies(spy_package, tmp_path / "edited"),))
    with a_cluster(tmp_path, command_line.env(), 1) as cluster:
        cluster.add_worker(edited.env())
        refused = command_line(*GRID, *SHORT, *cluster.options, "--out", "refused", status=2)

    assert "the code of lesionbench_spy differs" in refused.stderr
    assert refused.stderr.count("tcp://127.0.0.1:") == 1
    assert not (command_line.cwd / "refused").exists()


@pytest.mark.slow
def test_a_worker_that_joins_later_with_another_version_is_named_and_makes_nothing(
    command_line, spy_package, tmp_path, local
):
    edited = CommandLine(command_line.cwd, (edited_spies(spy_package, tmp_path / "edited"),))
    with a_cluster(tmp_path, command_line.env(), 1) as cluster:
        run = begun(command_line, cluster, "joined", has_begun)
        cluster.add_worker(edited.env())
        said, errors = run.communicate(timeout=240)

    assert run.returncode == 0, errors
    assert "is run again: the code of lesionbench_spy differs" in said + errors
    assert results(command_line.cwd / "joined") == local


@pytest.mark.slow
def test_a_killed_worker_costs_only_the_time_of_its_tasks(command_line, tmp_path, local):
    with a_cluster(tmp_path, command_line.env(), 2) as cluster:
        run = begun(command_line, cluster, "killed", has_a_cell)
        cluster.workers[0].kill()
        said, errors = run.communicate(timeout=240)

    assert (run.returncode, errors) == (0, "")
    assert "distributed" not in said
    assert results(command_line.cwd / "killed") == local


@pytest.mark.slow
def test_a_lost_scheduler_is_one_message_and_what_is_finished_is_kept(command_line, tmp_path, local):
    with a_cluster(tmp_path, command_line.env(), 1) as cluster:
        run = begun(command_line, cluster, "lost", has_a_cell)
        cluster.scheduler.kill()
        said, errors = run.communicate(timeout=240)

    assert run.returncode == 1
    assert "distributed" not in said
    assert "is run again" not in said
    assert "no worker is there" not in said
    assert errors.splitlines() == [f"lesionbench: the dask scheduler at '{cluster.address}' is gone; {KEPT}"]
    command_line(*GRID, *SHORT, "--out", "lost")
    assert results(command_line.cwd / "lost") == local


@pytest.mark.slow
def test_a_scheduler_that_is_lost_while_workers_are_asked_is_the_same_message(command_line, tmp_path):
    with a_cluster(tmp_path, command_line.env(), 1) as cluster:
        Timer(3, cluster.scheduler.kill).start()
        with pytest.raises(WorkersLost, match=f"the dask scheduler at '{cluster.address}' is gone; {KEPT}"):
            Dask(scheduler=cluster.address).everywhere(time.sleep, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scheduler", "127.0.0.1"), "(missing port number in address '127.0.0.1'); give the address"),
        (("--store", "memory://x", "--scheduler", "tcp://127.0.0.1:9"), "in the memory of one process"),
    ],
)
def test_what_cannot_be_used_is_one_message_and_nothing_is_written(command_line, options, message):
    refused = command_line(*GRID, *SHORT, "--executor", "dask", *options, "--out", "unusable", status=2)

    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (command_line.cwd / "unusable").exists()


@pytest.mark.slow
def test_a_killed_run_leaves_no_task_on_the_workers(command_line, tmp_path):
    with a_cluster(tmp_path, command_line.env(), 1) as cluster:
        worker = psutil.Process(cluster.workers[0].pid)
        run = begun(command_line, cluster, "abandoned", has_begun, (*GRID, *LONG))
        waited_for(lambda: (command_line.cwd / "abandoned" / ".running").exists())
        tasks = waited_for(lambda: worker.children(recursive=True))
        run.kill()
        run.communicate()
        psutil.wait_procs(tasks, timeout=30)

        assert [task for task in tasks if task.is_running()] == []
