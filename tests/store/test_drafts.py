"""What is left of processes that died, and only that, is removed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lesionbench.store import drafts
from lesionbench.store.digests import key_of
from lesionbench.store.store import Store

KEY = key_of("anything")
WRITER = (
    "import sys; from pathlib import Path; from lesionbench.store.store import Store\n"
    f"store = Store(Path(sys.argv[1]))\nwith store.claim('fits', '{KEY}'), store.write('fits', '{KEY}') as draft:\n"
    "    draft.put_text('file.txt', 'half')\n    print('here', flush=True)\n    input()"
)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def writer(store):
    """Another process that has a claim and is in the middle of writing an entry."""
    command = [sys.executable, "-c", WRITER, store.folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def left(store):
    """The files of drafts and claims."""
    return [path for name in ("drafts", "claims") for path in (store.folder / name).rglob("*") if path.is_file()]


def make_old(paths):
    for path in paths:
        os.utime(path, (0, 0))


def of_another_machine(store):
    """Let the drafts and claims belong to a process of another machine."""
    (claim,) = (store.folder / "claims").iterdir()
    record = json.loads(claim.read_text())
    here = record["token"].partition("-")[0]
    claim.write_text(json.dumps(record | {"token": record["token"].replace(here, "another")}))
    for path in list((store.folder / "drafts").iterdir()):
        path.rename(path.with_name(path.name.replace(here, "another")))


def test_what_a_killed_process_left_is_removed_by_the_next_sweep(store, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(left(store)) == 3  # the file, the owner of the draft, the claim

    store.sweep()

    assert left(store) == []
    assert list((store.folder / "drafts").iterdir()) == []


def test_the_draft_of_a_living_process_is_never_removed_however_old(store, writer):
    make_old(left(store))
    store.sweep()
    store.sweep()

    assert len(left(store)) == 3
    writer.communicate("\n")
    assert store.read("fits", KEY).text("file.txt") == "half"


def test_what_another_machine_left_is_removed_when_it_was_not_touched_for_a_day(store, writer, monkeypatch):
    writer.kill()
    writer.wait()
    of_another_machine(store)
    now = [time.time()]
    monkeypatch.setattr(drafts.time, "time", lambda: now[0])

    store.sweep()
    now[0] += 80_000
    store.sweep()
    assert len(left(store)) == 4  # and the note of what the sweeps saw
    now[0] += 10_000
    store.sweep()
    assert not any(path.suffix == ".txt" for path in left(store))
    assert not list((store.folder / "claims").iterdir())
    store.sweep()
    assert [path.read_text() for path in left(store)] == ["{}"]


def test_a_clock_that_jumps_removes_nothing_of_a_process_on_another_machine_that_lives(store, writer, monkeypatch):
    of_another_machine(store)
    now = [time.time()]
    monkeypatch.setattr(drafts.time, "time", lambda: now[0])

    for jump in (1e9, -2e9, 1e9, 1e8):
        now[0] += jump
        for path in left(store):
            os.utime(path)  # its owner touches it every ten seconds
        store.sweep()

    assert sum(path.suffix == ".txt" for path in left(store)) == 1
    assert len(list((store.folder / "claims").iterdir())) == 1


@pytest.mark.parametrize("note", ["", "[]", '{"a": 1}', '{"a": ["x", "y"]}', "[" * 9999])
def test_a_damaged_note_of_earlier_sweeps_is_written_again(store, writer, note):
    of_another_machine(store)
    (store.folder / "drafts" / "seen.json").write_text(note)

    store.sweep()

    assert len(json.loads((store.folder / "drafts" / "seen.json").read_text())) == 2


def test_a_draft_beside_a_place_removes_those_of_dead_processes_and_nothing_else(tmp_path):
    program = "import sys, pathlib; from lesionbench.store.drafts import draft_beside\n"
    program += "with draft_beside(pathlib.Path(sys.argv[1])) as draft:\n    print(draft.name, flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    ours = [tmp_path / ".place-notes", tmp_path / ".place-"]
    for folder in ours:
        folder.mkdir()

    with (
        subprocess.Popen([sys.executable, "-c", program, tmp_path / "place"], **pipes, text=True) as killed,
        subprocess.Popen([sys.executable, "-c", program, tmp_path / "place"], **pipes, text=True) as living,
    ):
        names = [process.stdout.readline().strip() for process in (killed, living)]
        killed.kill()
        killed.wait()
        assert all((tmp_path / name).is_dir() for name in names)
        with drafts.draft_beside(tmp_path / "place") as draft:
            left = {path.name for path in tmp_path.iterdir()}
        living.kill()

    assert left == {names[1], draft.name, *(folder.name for folder in ours)}
    assert not draft.exists()
