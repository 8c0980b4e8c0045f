"""`lesionbench store`, and what a run and a plan do with stores that are damaged or are none."""

import json
import os
import re
import shutil
import time

import pytest
from conftest import CommandLineHere

GRID = ("--dataset", "skin-phantom[size=16,train=60,test=20]", "--augmenter", "oversample", "--synthetic", 10)
GRID += ("--classifier", "linear", "--seeds", 1)
RUN = ("run", "--jobs", 1)  # what two processes do is tested with runs


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with a small run `a`."""
    folder = tmp_path_factory.mktemp("ran")
    CommandLineHere(folder)(*RUN, *GRID, "--out", "a")
    return folder


@pytest.fixture
def lesionbench(ran, tmp_path):
    """The command line in a folder with a copy of that run."""
    shutil.copytree(ran / "a", tmp_path / "a")
    return CommandLineHere(tmp_path, environment={"COLUMNS": "80"})


def everything(folder):
    """Every file below a folder with its content and time, and every folder."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None
        for path in folder.rglob("*")
    }


def damage_all(store):
    """Damage every entry."""
    for manifest in store.glob("*/*/manifest.json"):
        next(path for path in sorted(manifest.parent.iterdir()) if path.is_file()).write_bytes(b"?")


def test_list_says_what_is_there_and_which_runs_use_it(lesionbench):
    lines = lesionbench("store", "list", "a").stdout.splitlines()

    assert lines[0] == "the store in a/store"
    kinds = {line.split()[0]: line.split()[1] for line in lines[2:8]}
    assert kinds == {
        "datasets": "1",
        "splits": "1",
        "fits": "1",
        "pools": "1",
        "predictions": "2",
        "code": kinds["code"],
    }
    assert lines[8] == "runs that use it"
    assert re.fullmatch(rf"\s+6\s+0\s+\S+ \S+  {lesionbench.cwd}/a", lines[10])
    assert max(map(len, lines[:9])) <= 80


def test_a_run_that_is_gone_is_named_and_keeps_its_entries_until_it_is_forgotten(lesionbench):
    lesionbench(*RUN, *GRID[:-1], 2, "--out", "b", "--store", "a/store")
    shutil.rmtree(lesionbench.cwd / "b")

    assert "b  (not found)" in lesionbench("store", "list", "a").stdout
    kept = lesionbench("store", "prune", "a", "--yes").stdout
    assert "nothing to delete" in kept
    assert f"{lesionbench.cwd}/b uses, although that folder is not found here" in kept
    before = everything(lesionbench.cwd)
    shown = lesionbench("store", "prune", "a", "--forget", "b").stdout
    assert everything(lesionbench.cwd) == before
    assert "would be deleted" in shown
    assert "type the same command with --yes" in shown
    assert f"would be forgotten: {lesionbench.cwd}/b" in shown
    done = lesionbench("store", "prune", "a", "--forget", "b", "--yes").stdout.splitlines()
    assert done[0] == f"forgotten: {lesionbench.cwd}/b"
    assert done[1].endswith(" deleted")
    again = lesionbench("run", "a/experiment.toml").stdout
    assert "2 cells, 2 of them finished before" in again


def test_verify_names_what_is_damaged_and_changes_nothing(lesionbench):
    assert "every checksum is right" in lesionbench("store", "verify", "a").stdout
    damage_all(lesionbench.cwd / "a" / "store")
    before = everything(lesionbench.cwd)

    said = lesionbench("store", "verify", "--store", "a/store", status=1).stdout

    assert everything(lesionbench.cwd) == before
    assert "damaged: predictions/" in said
    assert "differs from its checksum" in said
    assert "damaged and set aside" in lesionbench("store", "verify", "a", "--set-aside", status=1).stdout
    assert ": 0 entries" in lesionbench("store", "verify", "a").stdout


def test_export_and_import_spare_another_machine_the_fits(lesionbench):
    lesionbench("store", "export", "a.zip", "--run", "a")
    said = lesionbench("store", "import", "a.zip", "--store", "elsewhere").stdout
    assert re.search(r"elsewhere: \d+ new entries, 0 already there", said)

    plan = lesionbench("plan", *GRID, "--out", "c", "--store", "elsewhere").stdout

    assert "2 cells: 2 done, 0 to do" in plan
    refused = lesionbench("store", "prune", "--store", "elsewhere", "--yes", status=2).stderr
    assert "no run has noted what it uses" in refused


def test_what_was_imported_is_kept_until_the_archive_is_forgotten(lesionbench):
    lesionbench("store", "export", "a.zip", "--run", "a")
    lesionbench(*RUN, *GRID, "--seed", 5, "--out", "b", "--store", "elsewhere")
    lesionbench("store", "import", "a.zip", "--store", "elsewhere")

    kept = lesionbench("store", "prune", "--store", "elsewhere", "--yes").stdout
    assert "nothing to delete" in kept
    assert f"kept: what was imported from {lesionbench.cwd}/a.zip" in kept
    assert "a.zip  (imported)" in lesionbench("store", "list", "--store", "elsewhere").stdout
    assert " deleted" in lesionbench("store", "prune", "--store", "elsewhere", "--forget", "a.zip", "--yes").stdout
    assert "2 of them finished before" in lesionbench("run", "b/experiment.toml").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list",), "the store must be named; name the folder of a run, or --store DIR"),
        (("list", "a", "--store", "a/store"), "name a run or --store, not both"),
        (("verify", "nowhere"), "nowhere holds no experiment"),
        (("prune", "--store", "nowhere"), "there is no store in nowhere"),
        (("list", "--store", "s3://bucket/x"), "this works on a store in a folder, not on s3://bucket/x"),
        (("prune", "a", "--forget", "a"), "only a run whose folder is gone can be forgotten"),
        (("export", "a", "--run", "a"), "an archive must be a new file, but a is there"),
        (("export", "no/a.zip", "--run", "a"), "the folder of an archive must be there, but no is not"),
        (("import", "a/leaderboard.csv", "--store", "new"), "is not an archive that"),
        (("import", "nothing.zip", "--store", "new"), "there is no file nothing.zip"),
        (("list", "--store", "."), "a store must be a new or empty folder, or hold nothing but a store"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(lesionbench, arguments, message):
    before = everything(lesionbench.cwd)

    assert message in lesionbench("store", *arguments, status=2).stderr
    assert everything(lesionbench.cwd) == before


def test_a_home_folder_as_store_is_refused_and_loses_nothing(lesionbench):
    notes = lesionbench.cwd / "home" / "project" / ".my-notes"
    notes.mkdir(parents=True)
    three_days_ago = time.time() - 3 * 86_400
    os.utime(notes, (three_days_ago, three_days_ago))
    before = everything(lesionbench.cwd)

    said = lesionbench(*RUN, *GRID, "--out", "b", "--store", "home", status=2).stderr

    assert "home holds 'project'; choose another --store" in said
    assert everything(lesionbench.cwd) == before


def test_a_folder_called_store_in_the_output_folder_is_not_taken_for_one(lesionbench):
    (lesionbench.cwd / "b" / "store" / "photos").mkdir(parents=True)
    before = everything(lesionbench.cwd)

    assert "holds 'photos'" in lesionbench(*RUN, *GRID, "--out", "b", status=2).stderr
    assert everything(lesionbench.cwd) == before


@pytest.mark.parametrize("wanted", ["whole", "damaged", "gone"])
def test_a_plan_writes_nothing_anywhere(lesionbench, wanted):
    store = lesionbench.cwd / "a" / "store"
    if wanted == "damaged":
        damage_all(store)
    elif wanted == "gone":
        shutil.rmtree(store)
    before = everything(lesionbench.cwd)

    lesionbench("plan", *GRID, "--out", "a")

    assert everything(lesionbench.cwd) == before


def test_a_run_makes_a_damaged_store_whole_and_keeps_its_bytes(lesionbench):
    before = (lesionbench.cwd / "a" / "leaderboard.csv").read_bytes()
    damage_all(lesionbench.cwd / "a" / "store")
    shutil.rmtree(lesionbench.cwd / "a" / "predictions")  # with these, the predictions in the store are not needed

    lesionbench(*RUN, *GRID, "--out", "a")

    assert (lesionbench.cwd / "a" / "leaderboard.csv").read_bytes() == before
    assert "every checksum is right" in lesionbench("store", "verify", "a").stdout


def test_a_run_notes_the_entries_of_its_grid(lesionbench):
    (note,) = (lesionbench.cwd / "a" / "store" / "uses").iterdir()

    uses = json.loads(note.read_text())["uses"]

    for kind, keys in uses.items():
        assert sorted(path.name for path in (lesionbench.cwd / "a" / "store" / kind).iterdir()) == keys
