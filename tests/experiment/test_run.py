"""Whole runs through the command line, with quick plugins installed outside the repository."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import CommandLine
from PIL import Image

from lesionbench.errors import OutputError
from lesionbench.experiment.session import Place, begin, make_ready
from lesionbench.experiment.settings import make_experiment
from lesionbench.pipeline.context import derive_seed
from lesionbench.plugins import Plugins
from lesionbench.store.digests import key_of

GRID = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--augmenter", "spy-copies")
GRID = (*GRID, "--augmenter", "oversample", "--synthetic", "5,12", "--seeds", "2")


FINISHED = (*GRID, "--positive-class", "b", "--jobs", "2", "--out", "o")


@pytest.fixture(scope="module")
def one_run(tmp_path_factory, spy_package):
    """A folder in which the grid was run once; tests work on copies of it."""
    command_line = CommandLine(tmp_path_factory.mktemp("run"), (spy_package,))
    command_line(*FINISHED)
    return command_line.cwd


@pytest.fixture
def finished(one_run, with_spies):
    """The command line in a copy of the folder of the finished run."""
    shutil.copytree(one_run, with_spies.cwd, dirs_exist_ok=True)
    return with_spies


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_was_prepared_while_another_took_its_folder_changes_nothing_there(finished):
    plugins, out = Plugins.load(), finished.cwd / "n"
    experiment = make_experiment({"augmenters": ["noise"], "classifiers": ["linear"]}, plugins)
    prepared, published = make_ready(plugins, experiment, Place(out), None)
    shutil.copytree(finished.cwd / "o", out, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    with pytest.raises(OutputError, match="holds another experiment"):
        begin(plugins, prepared, out, published)

    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_every_arm_stands_in_the_leaderboard_with_the_baseline_first(finished):

    rows = table(finished.cwd / "o" / "leaderboard.csv")

    assert [(row["augmenter"], row["synthetic_per_class"]) for row in rows] == [
        ("none", "0"),
        ("spy-copies", "5"),
        ("spy-copies", "12"),
        ("oversample", "5"),
        ("oversample", "12"),
    ]
    assert {(row["n_test"], row["seeds"], row["groups"], row["failed_cells"], row["computed_in"]) for row in rows} == {
        ("30", "2", "apart", "0", "fp32")
    }
    assert all(0.5 < float(row["accuracy"]) <= 1 for row in rows)


def test_every_entry_keeps_what_its_key_was_made_from_and_the_modules_behind_its_code(finished):
    store = finished.cwd / "o" / "store"

    for kind in ("datasets", "splits", "fits", "pools", "predictions"):
        inputs = {entry.name: json.loads((entry / "inputs.json").read_text()) for entry in (store / kind).iterdir()}
        assert inputs
        assert list(inputs) == [key_of(value) for value in inputs.values()]

    made_from = json.loads(next((store / "predictions").glob("*/inputs.json")).read_text())["classifier"]
    modules = json.loads((store / "code" / made_from["code"] / "modules.json").read_text())
    assert {"lesionbench_spy", "lesionbench.experiment.cell"} <= modules.keys()


def test_no_test_image_reaches_any_fit_and_no_validation_image_an_augmenter(with_spies):
    """The spies note every image they are given, on three folds; the splits tell which were test images."""
    notes = with_spies.cwd / "notes"
    notes.mkdir()
    with_spies.environment["SPY_NOTES"] = str(notes)

    with_spies(*GRID, "--positive-class", "b", "--split", 3, "--jobs", 2, "--out", "o")

    digest = digests_by_id(with_spies)
    parts = {(row["fold"], row["id"]): row["part"] for row in table(with_spies.cwd / "o" / "splits.csv")}
    seen_tests = 0
    for file in notes.iterdir():
        fold = file.name.partition("_fold")[2][0]
        of = {
            part: {digest[id_] for (at, id_), found in parts.items() if at == fold and found == part} for part in PARTS
        }
        for role, images in map(json.loads, file.read_text().splitlines()):
            allowed = {"fit": ["train"], "train": ["train"], "synthetic": ["train"], "validation": ["validation"]}
            permitted = set().union(*(of[part] for part in allowed.get(role, ["validation", "test"])))
            assert set(images) <= permitted, (file.name, role)
            seen_tests += len(set(images) & of["test"])
    assert len(list(notes.iterdir())) == 3 * 2 * (1 + 5)  # folds, seeds: one spied fit and five cells
    assert seen_tests == 3 * 2 * 5 * 30  # every test image, once a cell, and only in predict


PARTS = ("train", "validation", "test")


def digests_by_id(command_line) -> dict[str, str]:
    stored = next((command_line.cwd / "o" / "store" / "datasets").glob("[0-9a-f]*"))
    images, ids = np.load(stored / "images.npy"), np.load(stored / "ids.npy")
    return {str(name): hashlib.sha256(image.tobytes()).hexdigest() for name, image in zip(ids, images, strict=True)}


def test_one_process_and_two_give_the_same_bytes(finished):
    finished(*GRID, "--positive-class", "b", "--jobs", 1, "--out", "one")

    one, two = ((finished.cwd / name / "leaderboard.csv").read_bytes() for name in ("one", "o"))

    assert one == two


def test_the_same_command_again_does_no_work_and_changes_no_table(finished):
    before = {name: (finished.cwd / "o" / name).read_bytes() for name in ("leaderboard.csv", "per_class.csv")}

    again = finished(*FINISHED)

    assert "10 of them finished before" in again.stdout
    assert before == {name: (finished.cwd / "o" / name).read_bytes() for name in before}
    assert {row["classifier_from_store"] for row in table(finished.cwd / "o" / "cells.csv")} == {"yes"}


HEAVY = ("torch", "scipy", "statsmodels", "sklearn", "pandas", "matplotlib")  # a second and more to import
NAMING_IMPORTS = """
import sys
from lesionbench.cli.main import main
heavy = sys.argv.pop().split(",")
try:
    main()
finally:
    print("imported:", *sorted(set(heavy) & sys.modules.keys()))
"""


@pytest.mark.parametrize("command", [FINISHED, ("leaderboard", "o"), ("plan", *GRID[1:], "--positive-class", "b")])
def test_a_finished_run_is_looked_at_without_any_library_of_statistics_drawing_or_training(finished, command):
    program = [sys.executable, "-c", NAMING_IMPORTS, *command, *(["--out", "o"] if command[0] == "plan" else [])]
    told = subprocess.run(
        [*program, ",".join(HEAVY)], cwd=finished.cwd, env=finished.env(), capture_output=True, text=True, timeout=240
    )

    assert told.stdout.splitlines()[-1] == "imported:", told.stdout + told.stderr


def test_the_leaderboard_is_made_again_from_the_predictions_byte_for_byte(finished):
    path = finished.cwd / "o" / "leaderboard.csv"
    before = path.read_bytes()
    path.unlink()

    finished("leaderboard", "o")

    assert path.read_bytes() == before


def test_changed_predictions_are_refused_and_a_new_run_restores_them(finished):
    path = sorted((finished.cwd / "o" / "predictions").iterdir())[0]
    before = path.read_bytes()
    path.write_bytes(before.replace(b"0.", b"0.9", 1))

    refused = finished("leaderboard", "o", status=2)
    finished(*FINISHED)

    assert "was changed after it was written" in refused.stderr
    assert path.read_bytes() == before


def test_a_damaged_store_entry_is_set_aside_and_made_again(finished):
    before = (finished.cwd / "o" / "leaderboard.csv").read_bytes()
    for kind in ("predictions", "pools", "datasets", "splits"):
        entry = sorted((finished.cwd / "o" / "store" / kind).iterdir())[0]
        victim = next(path for path in sorted(entry.iterdir()) if path.suffix in (".csv", ".npy"))
        victim.write_bytes(victim.read_bytes()[:-3])
    for entry in sorted((finished.cwd / "o" / "store" / "predictions").iterdir())[1:]:
        shutil.rmtree(entry)  # so that every pool is wanted again
    shutil.rmtree(finished.cwd / "o" / "predictions")  # and every entry of predictions is read

    finished(*FINISHED)

    assert (finished.cwd / "o" / "leaderboard.csv").read_bytes() == before
    kinds = {path.name.partition("-")[0] for path in (finished.cwd / "o" / "store" / "damaged").iterdir()}
    assert kinds == {"predictions", "pools", "datasets", "splits"}


def test_a_failed_augmenter_fails_its_cells_and_the_rest_goes_on(with_spies):
    arguments = (*GRID, "--augmenter", "spy-copies[fails=true]", "--positive-class", "b", "--out", "o")
    failed = CommandLine(with_spies.cwd, with_spies.packages)(*arguments, status=1)  # in a process of its own

    rows = {row["augmenter"]: row for row in table(with_spies.cwd / "o" / "leaderboard.csv")}

    assert "the loss must stay finite" in failed.stdout
    assert (rows["spy-copies[fails=True]"]["failed_cells"], rows["spy-copies[fails=True]"]["accuracy"]) == ("2", "")
    assert rows["spy-copies"]["failed_cells"] == "0"
    statuses = [row["status"] for row in table(with_spies.cwd / "o" / "cells.csv")]
    assert (statuses.count("failed"), statuses.count("done")) == (4, 10)


def test_a_worker_that_dies_costs_its_own_cells_and_not_those_beside_it(with_spies):
    with_spies(
        *("run", "--dataset", "spy-dots", "--classifier", "spy-centroids[dies_on_seed=2,seconds=1]", "--jobs", 2),
        *("--classifier", "spy-centroids[seconds=2]", "--seeds", 3, "--positive-class", "b", "--out", "o"),
        status=1,
    )

    rows = table(with_spies.cwd / "o" / "cells.csv")

    assert [row["cell"] for row in rows if row["status"] == "failed"] == [
        row["cell"] for row in rows if row["seed"] == "2" and "dies" in row["classifier"]
    ]
    assert len([row for row in rows if row["status"] == "done"]) == 5


def test_a_run_with_a_store_elsewhere_goes_on_with_that_store(finished):
    elsewhere = ("--positive-class", "b", "--store", "o/store", "--out", "other")
    finished(*GRID, *elsewhere)

    again = finished("run", "other/experiment.toml")

    assert "10 of them finished before" in again.stdout
    assert not (finished.cwd / "other" / "store").exists()
    assert {path.name for path in (finished.cwd / "other" / "samples").iterdir()} == {
        path.name for path in (finished.cwd / "o" / "samples").iterdir()
    }
    assert {row["augmenter_from_store"] for row in table(finished.cwd / "other" / "cells.csv")} == {"", "yes"}


def test_the_baseline_written_in_another_way_is_still_the_baseline(with_spies):
    with_spies(
        *("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 1),
        *("--augmenter", "none[]", "--augmenter", " none", "--out", "o"),
    )

    rows = table(with_spies.cwd / "o" / "leaderboard.csv")

    assert [(row["augmenter"], row["synthetic_per_class"]) for row in rows] == [("none", "0")]


def test_a_larger_dose_elsewhere_uses_the_same_store_and_the_smaller_dose_stays_the_same(with_spies):
    base = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 1)
    with_spies(*base, "--augmenter", "oversample", "--synthetic", 5, "--out", "small")
    with_spies(*base, "--augmenter", "oversample", "--synthetic", "5,20", "--out", "large", "--store", "small/store")

    cells = {row["synthetic_per_class"]: row for row in table(with_spies.cwd / "large" / "cells.csv")}

    assert cells["5"]["classifier_from_store"] == "yes"
    assert cells["20"]["classifier_from_store"] == "no"
    small, large = (table(with_spies.cwd / name / "leaderboard.csv") for name in ("small", "large"))
    assert small == large[:2]


def test_an_output_folder_of_another_experiment_is_refused_and_left_as_it_was(finished):
    before = {path: path.read_bytes() for path in (finished.cwd / "o").rglob("*") if path.is_file()}

    refused = finished(*FINISHED, "--seeds", 3, status=2)

    assert "holds another experiment (seeds is 2 there and 3 here)" in refused.stderr
    assert before == {path: path.read_bytes() for path in (finished.cwd / "o").rglob("*") if path.is_file()}


def predictions_of(command_line):
    return sorted((command_line.cwd / "o" / "predictions").iterdir())


def test_three_classes_are_measured_one_against_the_rest(with_spies):
    with_spies(
        *("run", "--dataset", "spy-dots[classes=3]", "--classifier", "spy-centroids"),
        *("--split", 3, "--seeds", 1, "--out", "o"),
    )

    row = table(with_spies.cwd / "o" / "leaderboard.csv")[0]

    assert (row["positive_class"], row["n_test"]) == ("each", "90")
    tested = [row for path in predictions_of(with_spies) for row in table(path) if row["part"] == "test"]
    right = [max("abc", key=lambda name: float(row[f"score_{name}"])) == row["label"] for row in tested]
    assert len(tested) == 90
    assert row["accuracy"] == f"{sum(right) / 90:.4f}"
    assert [row["class"] for row in table(with_spies.cwd / "o" / "per_class.csv")] == ["a", "b", "c"]


def test_the_experiment_file_of_a_run_runs_the_same_experiment(finished):

    again = finished("run", "o/experiment.toml")

    assert "10 of them finished before" in again.stdout
    assert not (finished.cwd / "runs").exists()


@pytest.mark.usefixtures("signals_arrive")
def test_a_run_keeps_others_out_and_ctrl_c_stops_it_cleanly_and_says_how_to_go_on(with_spies):
    slow = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--augmenter", "spy-copies[seconds=60]")
    process = subprocess.Popen(
        with_spies.command(*slow, "--positive-class", "b", "--seeds", 1, "--jobs", 2, "--out", "o"),
        cwd=with_spies.cwd,
        env=with_spies.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    done = with_spies.cwd / "o" / "predictions" / "none_spy-centroids_fold0_seed1.csv"
    deadline = time.monotonic() + 60
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    second = with_spies(*slow, "--positive-class", "b", "--seeds", 1, "--jobs", 2, "--out", "o", status=2)

    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)

    assert "is busy in o; wait until it ends; or choose another --out" in second.stderr
    assert process.returncode == 130
    assert "To go on: lesionbench run o/experiment.toml" in errors
    assert "Traceback" not in errors
    assert done.exists()
    assert (with_spies.cwd / "o" / "leaderboard.csv").exists()


def test_images_that_changed_since_the_first_run_are_another_experiment(with_spies):
    random = np.random.default_rng(0)
    for number in range(40):
        folder = with_spies.cwd / "mine" / ("dark" if number % 2 else "bright")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 120, (16, 16)) + 100 * (number % 2 == 0)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    mine = ("run", "--dataset", "folder[size=16]", "--data", "mine", "--classifier", "spy-centroids", "--out", "o")
    mine = (*mine, "--positive-class", "dark", "--split", 3, "--seeds", 1)
    first = with_spies(*mine)
    again = with_spies("run", with_spies.cwd / "o" / "experiment.toml")
    inside = with_spies(*mine, "--out", "mine/o", status=2)
    Image.new("L", (16, 16)).save(with_spies.cwd / "mine" / "dark" / "1.png")

    refused = with_spies(*mine, status=2)

    assert "it is not known which images show the same patient" in first.stdout
    assert "3 of them finished before" in again.stdout  # the file says where the images lie
    assert "must be outside the images in mine, but mine/o is inside" in inside.stderr
    assert not (with_spies.cwd / "mine" / "o").exists()
    assert "are not those that the run in this folder used" in refused.stderr
    assert table(with_spies.cwd / "o" / "leaderboard.csv")[0]["groups"] == "waived"


def test_seeds_depend_on_their_names_and_nothing_else():
    assert derive_seed("augment", 0, 1, 2) == derive_seed("augment", 0, 1, 2)
    assert derive_seed("augment", 0, 1, 2) != derive_seed("augment", 0, 2, 1)
    assert derive_seed("split", 0) != derive_seed("classify", 0)
    assert 0 <= derive_seed("split", 0) < 2**63
