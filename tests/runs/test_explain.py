"""Why a cell runs again: the store's entries are edited as if they had been made from something else."""

import csv
import json
import shutil

import pytest
from conftest import CommandLineHere

from lesionbench.errors import SettingsError
from lesionbench.plugins import Plugins
from lesionbench.report.explain import explanation_lines
from lesionbench.runs.explain import explain
from lesionbench.store.digests import key_of

RUN = ("run", "--augmenter", "oversample", "--synthetic", "20", "--classifier", "linear", "--seeds", 1)
CELL, POOL = "oversample-20_linear_fold0_seed1", "oversample_fold0_seed1"


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    command_line = CommandLineHere(tmp_path_factory.mktemp("run"))
    command_line(*RUN, "--jobs", 1, "--out", "o")
    return command_line.cwd / "o"


@pytest.fixture
def run(one_run, tmp_path):
    """A copy of a finished run with the cells `none` and `oversample@20`."""
    return shutil.copytree(one_run, tmp_path / "o")


def made_from(run, kind, change):
    """Let every entry of a kind have been made from other inputs: `change` edits them. Returns new keys by old ones."""
    keys = {}
    for entry in list((run / "store" / kind).iterdir()):
        inputs = json.loads((entry / "inputs.json").read_text())
        change(inputs)
        (entry / "inputs.json").write_text(json.dumps(inputs))
        keys[entry.name] = key_of(inputs)
        entry.rename(entry.with_name(key_of(inputs)))
    return keys


def words(run, name=CELL):
    """The explanation as it is printed, line by line."""
    return explanation_lines(explain(run, name, Plugins.load()), run)


def sentences(run):
    """The explanation as one line."""
    return " ".join(" ".join(words(run)).split())


def test_a_finished_cell_has_nothing_to_explain(run):
    found = explain(run, CELL, Plugins.load())

    assert (found.status, found.earlier, found.damage) == ("done", None, "")
    assert words(run)[0].startswith(f"{CELL}: done, made 20")


def test_versions_settings_and_precision_that_differ_are_named(run):
    def change(inputs):
        inputs["classifier"]["versions"]["numpy"] = "1.0"
        inputs["classifier"]["versions"]["old-library"] = "3.1"
        inputs["classifier"]["settings"]["max_steps"] = 7
        inputs["precision"] = "bf16"

    made_from(run, "predictions", change)
    found = words(run)

    assert found[0] == f"{CELL}: waiting"
    assert found[1].startswith("It runs again, because since 20")
    assert "  setting max_steps of linear: 7 then, None now" in found
    assert any(line.startswith("  version of numpy: 1.0 then, ") for line in found)
    assert "  version of old-library: 3.1 then, not needed now" in found
    assert "  precision: bf16 then, fp32 now" in found
    assert found[-1].startswith("To make it: lesionbench run ")


def test_a_module_behind_the_fit_behind_the_cell_is_named(run):
    def edit_code(inputs):
        code = run / "store" / "code" / inputs["augmenter"]["code"]
        inputs["augmenter"]["code"] = "0" * 64
        earlier = shutil.copytree(code, code.with_name("0" * 64), dirs_exist_ok=True)
        modules = json.loads((earlier / "modules.json").read_text())
        modules |= {"lesionbench.builtin.control_samplers": "another", "a_module_that_is_gone": "x"}
        (earlier / "modules.json").write_text(json.dumps(modules))

    keys = made_from(run, "fits", edit_code)

    def edit_fits(inputs):
        inputs["synthetic"] = [[keys[fit], *rest] for fit, *rest in inputs["synthetic"]]

    made_from(run, "predictions", edit_fits)

    assert words(run)[2:-1] == [
        f"  the fit of {POOL} differs, because",
        "    the code of oversample changed, because",
        "      a_module_that_is_gone is gone",
        "      lesionbench.builtin.control_samplers changed",
    ]
    assert words(run, POOL)[2:-1] == [
        "  the code of oversample changed, because",
        "    a_module_that_is_gone is gone",
        "    lesionbench.builtin.control_samplers changed",
    ]


def test_other_images_are_named_behind_the_division(run):
    def edit_images(inputs):
        inputs["dataset"]["settings"]["seed"] = 99

    keys = made_from(run, "datasets", edit_images)
    keys = made_from(run, "splits", lambda inputs: inputs.update({"of": keys[inputs["of"]], "validation": 0.4}))
    made_from(run, "predictions", lambda inputs: inputs.update({"splits": keys[inputs["splits"]]}))

    found = words(run)[2:-1]

    assert found[:2] == ["  the division of the images differs, because", "    the images differ, because"]
    assert found[2].startswith("      setting seed of skin-phantom: 99 then, ")
    assert found[3] == "    the share of validation images: 0.4 then, 0.2 now"


def test_another_repeat_fold_or_dose_is_no_earlier_version(run):
    made_from(run, "predictions", lambda inputs: inputs.update({"seed": 5}))

    said = "It was never made with this seed (base seed 0); the store has it for other seeds."
    assert said in sentences(run)
    made_from(run, "predictions", lambda inputs: inputs.update({"fold": 1}))
    assert explain(run, CELL, Plugins.load()).earlier is None


def test_a_failed_cell_says_why_and_where_to_look(run):
    shutil.rmtree(run / "store" / "predictions")
    path = run / "cells.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {"status": "failed", "error": "the loss is not finite"}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    assert words(run)[:2] == [f"{CELL}: failed", "  the loss is not finite"]
    assert str(run / "logs" / CELL) in " ".join(words(run)).replace("\n", "")


def test_a_failed_pool_says_why_and_fails_its_cells_before_a_table_does(run):
    for kind in ("fits", "pools", "predictions"):
        shutil.rmtree(run / "store" / kind)
    shutil.rmtree(run / "predictions")
    (run / "logs" / POOL / "error.txt").write_text("the loss is not finite\n\nTraceback")

    assert words(run, POOL)[:2] == [f"{POOL}: failed", "  the loss is not finite"]
    assert words(run)[:2] == [f"{CELL}: failed", "  the loss is not finite"]


def test_a_fit_that_is_done_is_not_called_missing(run):
    shutil.rmtree(run / "store" / "pools")
    shutil.rmtree(run / "store" / "predictions")
    shutil.rmtree(run / "predictions")

    assert f"Needed by it, and fitted but not drawn yet: {POOL}" in words(run)
    assert "not made yet" not in sentences(run)


def test_a_cell_of_another_run_is_the_nearest_and_runs_for_the_first_time(run, tmp_path):
    other = ["--store", run / "store", "--out", "b"]
    settings = [*RUN[1:5], "--classifier", "linear[components=5]", "--seeds", 1]
    CommandLineHere(tmp_path)("jobs", *settings, *other)
    with (tmp_path / "b" / "cells.csv").open(newline="") as file:
        cell = next(csv.DictReader(file))["cell"]

    said = CommandLineHere(tmp_path)("explain", "b", cell).stdout

    assert "The nearest that the store has, made 20" in said
    assert "It runs again" not in said


def test_a_damaged_entry_is_named_after_it_was_made_again(run, tmp_path):
    for file in run.glob("store/predictions/*/predictions.csv"):
        file.write_text("x")

    copied = sentences(run)
    shutil.rmtree(run / "predictions")
    damaged = sentences(run)
    CommandLineHere(tmp_path)("run", run)

    assert "The stored predictions were damaged, but the run's folder has a copy." in copied
    assert "The stored predictions were damaged, and will be made again." in damaged
    assert "The stored predictions were damaged, set aside and made again." in sentences(run)


def test_a_fit_without_its_pool_is_told(run):
    shutil.rmtree(run / "store" / "pools")

    assert "Its images are not in the store; they are drawn from the fit when a cell needs" in words(run, POOL)


def test_a_name_that_is_none_suggests_the_nearest(run):
    with pytest.raises(SettingsError, match=f"did you mean '{CELL}'"):
        explain(run, CELL[:-1], Plugins.load())


def test_the_name_of_a_part_of_a_fit_leads_to_the_whole_fit(run):
    with pytest.raises(SettingsError, match=f"is a part of the fit '{POOL}'; name the whole fit"):
        explain(run, f"{POOL}_malignant", Plugins.load())


def test_nothing_is_written_and_every_line_fits_the_screen(run, tmp_path):
    made_from(run, "predictions", lambda inputs: inputs["classifier"]["versions"].update({"n" * 30: "9" * 40}))
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))

    printed = CommandLineHere(tmp_path)("explain", run, CELL).stdout

    assert max(map(len, printed.replace(str(run), "o").splitlines())) <= 80
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before
