"""Running an experiment again: identical, different, or impossible, by message and exit status."""

import json
import shutil

import pytest
from conftest import CommandLineHere
from PIL import Image

import lesionbench as api
from lesionbench.experiment.environment import ENVIRONMENT
from lesionbench.store.digests import file_digest

RUN = ("run", "--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", 1)
RUN = (*RUN, "--jobs", 1)  # what two processes do is tested with runs


@pytest.fixture(scope="module")
def one_run(tmp_path_factory, spy_package):
    command_line = CommandLineHere(tmp_path_factory.mktemp("run"), (spy_package,))
    command_line(*RUN, "--augmenter", "oversample", "--synthetic", 5, "--out", "o")
    return command_line.cwd / "o"


@pytest.fixture
def with_run(one_run, with_spies):
    """The command line in a folder with a copy of the run, `o`."""
    shutil.copytree(one_run, with_spies.cwd / "o")
    return with_spies


def change_environment(run, **changes):
    found = json.loads((run / ENVIRONMENT).read_text())
    (run / ENVIRONMENT).write_text(json.dumps({**found, **changes}))


def change_scores(run, name):
    """Other predictions of a cell, as if it had been made elsewhere."""
    path = run / "predictions" / f"{name}.csv"
    digest = file_digest(path)
    lines = path.read_text().splitlines(keepends=True)
    *rest, one, other = lines[-1].rstrip("\n").split(",")
    path.write_text("".join([*lines[:-1], ",".join([*rest, other, one]) + "\n"]))
    cells = run / "cells.csv"
    cells.write_text(cells.read_text().replace(digest, file_digest(path)))


def test_the_same_experiment_on_the_same_machine_is_identical_and_takes_nothing_from_the_old_store(with_run):
    shutil.rmtree(with_run.cwd / "o" / "store")

    printed = with_run("reproduce", "o", "--quiet", "--jobs", 1).stdout

    assert printed.splitlines() == [
        "the environment is the same",
        "identical: the predictions of 2 cells, byte for byte, and the leaderboard",
        "o-again",
    ]
    assert not (with_run.cwd / "o" / "store").exists()
    assert (with_run.cwd / "o-again" / "store" / "predictions").is_dir()


def test_other_predictions_and_numbers_are_named_with_how_far_they_are_apart(with_run):
    change_scores(with_run.cwd / "o", "none_spy-centroids_fold0_seed1")
    with_run("leaderboard", "o")

    printed = with_run("reproduce", "o", "--out", "n", "--quiet", status=1).stdout

    assert "1 of 2 cells differ, scores by up to 0." in printed
    assert "leaderboard: " in printed
    assert "accuracy by up to 0.0333" in printed.replace("\n  ", " ")
    assert "  none_spy-centroids_fold0_seed1: scores by up to 0." in printed


def test_the_order_of_the_rows_of_a_leaderboard_does_not_count(with_run):
    path = with_run.cwd / "o" / "leaderboard.csv"
    heading, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([heading, *reversed(rows)]))

    first, second = (with_run("reproduce", "o", "--quiet").stdout for _ in range(2))

    assert "identical" in first
    assert "before" not in first
    assert "2 cells had been run into o-again before, and nothing of them was run now" in " ".join(second.split())


def test_check_names_what_differs_and_runs_nothing(with_run):
    run = with_run.cwd / "o"
    libraries = json.loads((run / ENVIRONMENT).read_text())["libraries"]
    change_environment(run, libraries={**libraries, "numpy": "1.0"}, processor="Another")

    printed = with_run("reproduce", "o", "--check", status=1).stdout

    assert f"  version of numpy: 1.0 then, {libraries['numpy']} here" in printed
    assert "  processor: Another then, " in printed
    assert [path.name for path in with_run.cwd.iterdir()] == ["o"]


def test_check_of_another_processor_alone_is_status_0(with_run):
    change_environment(with_run.cwd / "o", processor="Another")

    assert "these only show results" in with_run("reproduce", "o", "--check").stdout


@pytest.mark.parametrize(
    ("break_it", "arguments", "message"),
    [
        (lambda run: (run / ENVIRONMENT).unlink(), [], "there is no environment.json"),
        (lambda run: None, ["--out", "o/again"], "is run again outside of o"),
        (lambda run: None, ["--check", "--out", "x"], "leave out --check or --out"),
        (shutil.rmtree, [], "o holds no experiment"),
        (lambda run: (run / "leaderboard.csv").write_text(""), [], "is not the leaderboard of that run"),
    ],
)
def test_what_cannot_be_repeated_is_status_2_and_nothing_is_written(with_run, break_it, arguments, message):
    break_it(with_run.cwd / "o")
    before = sorted(with_run.cwd.rglob("*"))

    assert message in with_run("reproduce", "o", *arguments, status=2).stderr
    assert sorted(with_run.cwd.rglob("*")) == before


def test_other_images_are_refused(with_spies):
    for number in range(24):
        path = with_spies.cwd / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (9 * number, 80 * (number % 2), 0)).save(path)
    own = ("--dataset", "folder", "--data", "images", "--split", 2, "--positive-class", "b", "--seeds", 1)
    with_spies("run", *own, "--classifier", "spy-centroids", "--out", "o")
    Image.new("RGB", (8, 8), "white").save(with_spies.cwd / "images" / "a" / "0.png")

    refused = with_spies("reproduce", "o", status=2).stderr

    assert "the images in" in refused
    assert "are not those that the run in this folder used" in refused
    assert not (with_spies.cwd / "o-again").exists()


def test_the_environment_is_a_dictionary_in_python(one_run):
    assert api.open(one_run).environment["device"] == "cpu"
