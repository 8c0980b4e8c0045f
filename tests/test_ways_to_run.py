"""One grid, run in every way there is, with processes that are killed meanwhile: the bytes are the same."""

import subprocess
from contextlib import suppress

import pytest
from conftest import CommandLine
from dask_processes import a_cluster, waited_for
from run_folders import cells_without_costs, results

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

GRID = ("--dataset", "skin-phantom[size=32,train=60,test=20]", "--augmenter", "dcgan[steps=12,batch_size=8]")
GRID = (*GRID, "--synthetic", 8, "--classifier", "kth-cnn[steps=20]", "--classifier", "linear", "--seeds", 2)
CELLS = 8  # without and with synthetic images, two classifiers, two seeds
POOLS = 2
PARTS = 4  # the generator of each class is fitted by itself
PATIENCE = 900  # seconds for one way

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * PATIENCE)]


@pytest.fixture(scope="module")
def command_line(tmp_path_factory):
    return CommandLine(tmp_path_factory.mktemp("ways"))


@pytest.fixture(scope="module")
def wanted(command_line):
    """What two processes on this machine make of the grid."""
    ended(started(command_line, "run", *GRID, "--jobs", 2, "--out", "local"))
    return what_came_out(command_line.cwd / "local")


def what_came_out(out):
    """Every prediction, every table and every cell, but for what the fits cost."""
    found, cells = results(out), cells_without_costs(out)
    assert len([name for name in found if name.startswith("predictions/")]) == CELLS
    assert [cell["status"] for cell in cells] == ["done"] * CELLS
    return found | {"cells.csv": cells}


def started(command_line, *arguments):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = command_line.command(*arguments)
    return subprocess.Popen(command, cwd=command_line.cwd, env=command_line.env(), text=True, **pipes)


def ended(process):
    """What a process has printed when it ends, which it must do without an error."""
    said, errors = process.communicate(timeout=PATIENCE)
    assert (errors, process.returncode) == ("", 0)
    return said


def gan_of(worker, out):
    """The name of a GAN's fit that a process of this worker is in the middle of; None if there is none."""
    with suppress(psutil.Error):
        for process in psutil.Process(worker.pid).children(recursive=True):
            for file in process.open_files():
                name = file.path.rpartition("/")[2].removesuffix(".txt")
                if file.path.startswith(f"{out}/.running/dcgan-") and steps_of(out, name):
                    return name
    return None


def steps_of(out, name):
    """How many lines a fit has written into its progress."""
    progress = out / "logs" / name / "progress.jsonl"
    return len(progress.read_text().splitlines()) if progress.exists() else 0


def test_a_dask_worker_killed_in_the_middle_of_a_gan_changes_no_byte(command_line, wanted, tmp_path):
    out = command_line.cwd / "dask"
    with a_cluster(tmp_path, command_line.env(), 2) as cluster:
        run = started(command_line, "run", *GRID, *cluster.options, "--out", "dask")
        worker = waited_for(lambda: next((one for one in cluster.workers if gan_of(one, out)), run.poll()), PATIENCE)
        assert run.poll() is None
        worker.kill()
        assert len(list((out / "store").glob("pools/*"))) < POOLS
        ended(run)

    assert what_came_out(out) == wanted


def test_a_list_of_jobs_done_by_four_processes_at_once_changes_no_byte(command_line, wanted):
    ended(started(command_line, "jobs", *GRID, "--out", "jobs"))

    made = work_on(command_line, *[command_line] * 4)

    assert sorted(made) == sorted(set(made))
    assert len(made) == CELLS + POOLS + PARTS
    assert what_came_out(command_line.cwd / "jobs") == wanted


def test_a_store_on_s3_and_four_machines_with_caches_of_their_own_change_no_byte(tmp_path, wanted, s3_server):
    machines = [on_machine(tmp_path, name, s3_server) for name in ("one", "two", "three", "four", "five")]
    ended(started(machines[0], "jobs", *GRID, "--store", s3_server.make_bucket("ways"), "--out", "jobs"))

    made = work_on(machines[4], *machines[:4])

    assert sorted(made) == sorted(set(made))
    assert what_came_out(tmp_path / "jobs") == wanted


def on_machine(folder, name, server):
    """The command line in a folder, with the cache of a machine of this name."""
    return CommandLine(folder, (), {**server.environment(), "LESIONBENCH_CACHE": str(folder / name)})


def work_on(last, *command_lines):
    """What processes that do all jobs at the same time say that they made; then the tables are written by the last."""
    processes = [started(one, "work", "jobs") for one in command_lines]
    said = [line for process in processes for line in ended(process).splitlines()]
    ended(started(last, "leaderboard", "jobs"))
    return [line for line in said if line.startswith("making")]
