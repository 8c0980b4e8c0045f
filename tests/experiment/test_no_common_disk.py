"""Whole runs with a store on a server that speaks S3; every machine has a cache of its own."""

import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace

import fsspec
import pytest
from conftest import CommandLine
from run_folders import results
from s3_server import S3Server

from lesionbench.experiment.grid import cells
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.settings import make_experiment
from lesionbench.experiment.tasks import do_apart
from lesionbench.plugins import Plugins
from lesionbench.store import addresses, remote_files
from lesionbench.store.addresses import open_store
from lesionbench.store.layout import PREDICTIONS
from lesionbench.workers.executors import KEPT

GRID = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--augmenter", "spy-copies")
GRID = (*GRID, "--synthetic", "5", "--seeds", "2")
RUN = (*GRID, "--positive-class", "b", "--jobs", "2")


@pytest.fixture(scope="module")
def in_folder(tmp_path_factory, spy_package):
    """The results of the grid with a store in a folder."""
    command_line = CommandLine(tmp_path_factory.mktemp("folder"), (spy_package,))
    command_line(*RUN, "--out", "o")
    return results(command_line.cwd / "o")


@pytest.fixture
def on_machine(tmp_path, spy_package):
    """The command line on a machine of this name, which has a cache of its own."""

    def make(name: str, server: S3Server) -> CommandLine:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        caches = {"LESIONBENCH_CACHE": str(folder / "cache")}
        return CommandLine(folder, (spy_package,), {**server.environment(), **caches})

    return make


def test_a_store_on_s3_gives_the_same_bytes_and_another_machine_goes_on_with_it(in_folder, on_machine, s3_server):
    store = f"{s3_server.make_bucket(f'bucket-{uuid.uuid4().hex}')}/lesions"
    here, there = on_machine("here", s3_server), on_machine("there", s3_server)

    here(*RUN, "--out", "o", "--store", store)
    again = there(*RUN, "--out", "o", "--store", store)

    assert results(here.cwd / "o") == in_folder
    assert results(there.cwd / "o") == in_folder
    assert "4 of them finished before" in again.stdout
    assert not (here.cwd / "o" / "store").exists()
    assert f'store = "{store}"' in (here.cwd / "o" / "experiment.toml").read_text()
    logs = [{path.name for path in (machine.cwd / "o" / "logs").iterdir()} for machine in (here, there)]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_two_machines_that_run_one_grid_at_once_end_with_the_same_bytes(in_folder, on_machine, s3_server):
    store = s3_server.make_bucket(f"bucket-{uuid.uuid4().hex}")
    machines = [on_machine("here", s3_server), on_machine("there", s3_server)]

    running = [start(machine, *RUN, "--out", "o", "--store", store) for machine in machines]
    ended = [process.communicate(timeout=240) for process in running]

    assert [process.returncode for process in running] == [0, 0], ended
    assert [results(machine.cwd / "o") for machine in machines] == [in_folder, in_folder]


def start(machine: CommandLine, *arguments: object) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(machine.command(*arguments), cwd=machine.cwd, env=machine.env(), text=True, **pipes)


@pytest.mark.slow
def test_a_run_whose_server_dies_keeps_everything_and_the_next_one_sends_it(in_folder, on_machine):
    server = S3Server.start()
    store = server.make_bucket("lab")
    machine = on_machine("here", server)
    running = start(machine, *RUN, "--out", "o", "--store", store)
    cells_table = machine.cwd / "o" / "cells.csv"
    while not (cells_table.exists() and ",done," in cells_table.read_text()):
        time.sleep(0.05)
    server.stop()
    shown, said = running.communicate(timeout=240)

    assert running.returncode == 1, said
    assert said.splitlines()[-1].startswith(f"lesionbench: the store {store} does not answer (")
    assert said.splitlines()[-1].endswith("); 4 of 4 cells are done; " + KEPT)
    assert "/leaderboard.csv" in shown
    assert "Traceback" not in said
    assert results(machine.cwd / "o") == in_folder

    server = S3Server.start(server.port)
    server.make_bucket("lab")  # it has forgotten everything
    try:
        again = machine(*RUN, "--out", "o", "--store", store)
        assert "4 of them finished before" in again.stdout
        elsewhere = on_machine("there", server)(*RUN, "--out", "o", "--store", store)
        assert "4 of them finished before" in elsewhere.stdout
    finally:
        server.stop()


@pytest.mark.slow
def test_work_whose_server_dies_goes_on_and_the_next_one_sends_what_it_made(in_folder, on_machine):
    server = S3Server.start()
    store = server.make_bucket("lab")
    machine = on_machine("here", server)
    machine("jobs", *RUN[1:-2], "--store", store, "--out", "o")
    with start(machine, "work", "o") as working:
        assert any(line.startswith("made ") for line in working.stdout)
        server.stop()
        made, said = working.stdout.read(), working.stderr.read()

    assert working.returncode == 1, said
    (line,) = said.splitlines()
    assert line.startswith(f"lesionbench: the store {store} does not answer (")
    assert line.endswith(KEPT)
    assert f"the store {store} does not answer" in made

    server = S3Server.start(server.port)
    server.make_bucket("lab")  # it has forgotten everything
    try:
        assert "making" not in machine("work", "o").stdout
        machine.environment["LESIONBENCH_CACHE"] = str(machine.cwd / "another")
        machine("leaderboard", "o")
        assert results(machine.cwd / "o") == in_folder
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "; check the network and AWS_ENDPOINT_URL, which names"),
        ({}, "there is no bucket for the store s3://none"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "needs access keys, and none were found"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_message_before_anything_is_written(
    on_machine, s3_server, monkeypatch, change, message
):
    monkeypatch.setattr(remote_files, "PAUSES", ())
    machine = on_machine("here", s3_server)
    nobody = {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    machine.environment |= {**nobody, **change}

    for command in ("run", "plan"):
        refused = machine(command, *GRID[1:], "--positive-class", "b", "--store", "s3://none", "--out", "o", status=2)
        assert message in refused.stderr
        assert len(refused.stderr.splitlines()) == 1

    assert list(machine.cwd.iterdir()) == []


@pytest.fixture
def prepared(tmp_path, s3_server, monkeypatch):
    """An experiment in a store on S3, prepared on this machine."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LESIONBENCH_CACHE", str(tmp_path / "here"))
    plugins = Plugins.load()
    given = {
        "dataset": "skin-phantom[size=16,train=60,test=20]",
        "augmenters": "noise",
        "synthetic": "3",
        "classifiers": "linear",
    }
    return prepare(make_experiment(given, plugins), plugins, s3_server.make_bucket(f"bucket-{uuid.uuid4().hex}"))


def in_new_process(*arguments):
    """What `do_apart` returns in a thread, and thereby a process, that begins with the environment as it is now."""
    found = []
    thread = threading.Thread(target=lambda: found.append(do_apart(*arguments)))
    thread.start()
    thread.join()
    return found[0]


def test_a_worker_without_the_output_folder_and_the_images_sends_its_result_and_its_log(
    prepared, tmp_path, monkeypatch
):
    cell = cells(prepared.experiment, prepared.about.folds)[-1]
    monkeypatch.setenv("LESIONBENCH_CACHE", str(tmp_path / "there"))

    outcome = in_new_process(cell, prepared, tmp_path / "not" / "here")

    assert outcome.error is None
    assert f"logs/{cell.name}/progress.jsonl" in dict(outcome.files)
    assert not (tmp_path / "not").exists()
    monkeypatch.setenv("LESIONBENCH_CACHE", str(tmp_path / "elsewhere"))
    store = open_store(prepared.store)
    (name,) = store.files.names(PREDICTIONS)
    assert store.read(PREDICTIONS, name.removesuffix(".zip")).text("predictions.csv")


def test_a_worker_without_the_output_folder_sends_the_traceback_of_a_failed_task(prepared, tmp_path, monkeypatch):
    cell = cells(prepared.experiment, prepared.about.folds)[-1]
    broken = replace(cell, arm=replace(cell.arm, classifier="no-such-classifier"))

    outcome = in_new_process(broken, prepared, tmp_path / "not" / "here")

    assert "no-such-classifier" in outcome.error
    assert "Traceback" in dict(outcome.files)[f"logs/{broken.name}/error.txt"].decode()


@pytest.mark.slow
def test_a_task_whose_store_does_not_answer_keeps_its_result_for_later(prepared, tmp_path, monkeypatch):
    cell = cells(prepared.experiment, prepared.about.folds)[0]
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "experiment.toml").touch()  # a worker that sees the output folder
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    outcome = in_new_process(cell, prepared, tmp_path / "o")

    assert outcome.error is None
    assert f"the store {prepared.store} does not answer" in outcome.unsent


@contextmanager
def unconnected():
    """Let this process connect to servers anew, as the environment says now, and forget that afterwards."""

    def forget():
        addresses._remote.cache_clear()
        fsspec.get_filesystem_class("s3").clear_instance_cache()

    forget()
    try:
        yield
    finally:
        forget()


@pytest.mark.slow
def test_a_result_that_stays_on_its_machine_fails_its_cell_by_name(prepared, tmp_path, monkeypatch):
    cell = cells(prepared.experiment, prepared.about.folds)[0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(remote_files, "PAUSES", ())
    with unconnected():
        outcome = in_new_process(cell, prepared, tmp_path / "not" / "here")

    assert f"the store {prepared.store} does not answer" in outcome.error
