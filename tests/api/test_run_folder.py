"""A run as Python sees it: tables with right dtypes, the answer, and errors that say what there is."""

import csv
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import lesionbench
from lesionbench import InputError, OutputError, SettingsError
from lesionbench.api.frames import TEXT, WHOLE, YES_OR_NO
from lesionbench.evidence.evidence import TABLE_COLUMNS
from lesionbench.evidence.papers.beside_published import BESIDE_PUBLISHED_COLUMNS
from lesionbench.experiment.tables import CELL_COLUMNS, SPLIT_COLUMNS
from lesionbench.pipeline.leaderboard import PER_CLASS_COLUMNS

COLUMNS = {**TABLE_COLUMNS, "per_class": PER_CLASS_COLUMNS, "cells": CELL_COLUMNS, "splits": SPLIT_COLUMNS}
DTYPES = {"string", "Int64", "boolean", "float64"}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_table_has_its_columns_each_in_its_dtype_and_no_value_is_lost(small_run, name):
    frame = getattr(small_run, name)

    assert tuple(frame.columns) == tuple(COLUMNS[name])
    assert {str(dtype) for dtype in frame.dtypes} <= DTYPES
    with (small_run.folder / f"{name}.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(frame) == len(written)
    for column in frame.columns:
        for value, text in zip(frame[column], (row[column] for row in written), strict=True):
            assert pd.isna(value) == (text == "")
            if text and str(frame[column].dtype) == "Int64":
                assert str(value) == text
            elif text and column in YES_OR_NO:
                assert value == (text == "yes")
            elif text and str(frame[column].dtype) == "string":
                assert value == text
            elif text:
                assert value == float(text)


def test_no_column_has_two_dtypes():
    assert not (TEXT & WHOLE) | (TEXT & YES_OR_NO) | (WHOLE & YES_OR_NO)


def test_a_run_without_published_values_has_an_empty_comparison_with_all_columns(small_run):
    assert small_run.comparison.empty
    assert tuple(small_run.comparison.columns) == BESIDE_PUBLISHED_COLUMNS
    assert str(small_run.comparison["measured"].dtype) == "float64"


def test_the_verdicts_name_every_arm_but_the_baseline(small_run):
    verdicts = small_run.verdicts

    assert list(verdicts.columns) == ["arm", "dose", "classifier", "difference", "low", "high", "verdict", "reason"]
    assert list(verdicts["arm"]) == [
        f"{name}@{dose}" for name in ("oversample", "noise", "real-holdout") for dose in (4, 8)
    ]
    assert set(verdicts["verdict"]) <= {"helps", "harms", "no difference", "cannot tell"}


def test_the_predictions_of_all_cells_are_one_table(small_run):
    predictions, cells = small_run.predictions, small_run.cells

    test = predictions[predictions["part"] == "test"]
    assert len(test) == 60 * 2 * 7  # every image once a seed and arm
    assert np.allclose(test.filter(like="score_").sum(axis=1), 1)
    assert str(predictions["seed"].dtype) == "Int64"
    assert len(predictions.groupby(["augmenter", "synthetic_per_class", "fold", "seed"])) == len(cells)


def test_accuracy_from_the_predictions_is_that_of_the_leaderboard(small_run):
    test = small_run.predictions.query("part == 'test' and augmenter == 'noise' and synthetic_per_class == 8")
    scores = test.filter(like="score_")
    called = scores.idxmax(axis=1).str.removeprefix("score_")

    board = small_run.leaderboard.query("augmenter == 'noise' and synthetic_per_class == 8")

    assert (called == test["label"]).mean() == pytest.approx(board["accuracy"].item(), abs=1e-4)


def test_a_changed_file_of_predictions_is_refused(small_run, tmp_path):

    shutil.copytree(small_run.folder, tmp_path / "copy")
    changed = next((tmp_path / "copy" / "predictions").glob("*.csv"))
    changed.write_text(changed.read_text().replace("test", "Test"))

    with pytest.raises(OutputError, match="was changed after it was written"):
        _ = lesionbench.open(tmp_path / "copy").predictions


def test_a_table_that_was_changed_after_it_was_written_is_refused(small_run, tmp_path):
    shutil.copytree(small_run.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    table = tmp_path / "copy" / "comparisons.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))  # as good as whole, but for one row

    with pytest.raises(OutputError, match=r"changed after it was written; `lesionbench leaderboard .* makes it again"):
        _ = lesionbench.open(tmp_path / "copy").verdicts


def test_a_table_without_a_column_that_is_needed_is_refused(small_run, tmp_path):
    shutil.copytree(small_run.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("store", ".tables.json"))
    table = tmp_path / "copy" / "comparisons.csv"
    table.write_text(table.read_text().replace(",verdict,", ",advice,"))

    with pytest.raises(OutputError, match=r"comparisons\.csv has no column 'verdict'"):
        _ = lesionbench.open(tmp_path / "copy").verdicts


def test_the_confusion_of_an_arm_counts_every_test_image_once_a_seed(small_run):
    both, one = small_run.confusion("noise@8"), small_run.confusion("noise@8", seed=1, fold=0)

    assert both.to_numpy().sum() == 120
    assert one.to_numpy().sum() == 30
    assert list(both.columns) == list(both.index) == ["<b>be&nign</b>", "malignant"]


def test_an_unknown_arm_is_named_with_the_arms_there_are(small_run):
    with pytest.raises(SettingsError, match=r"no arm 'nosie@8'; did you mean 'noise@8'\? \(arms: none, oversample@4"):
        small_run.confusion("nosie@8")


def test_an_unknown_classifier_is_named_with_those_there_are(small_run):
    with pytest.raises(SettingsError, match=r"no classifier 'liner'; did you mean 'linear'"):
        small_run.confusion("none", classifier="liner")


def test_a_run_opened_again_is_the_same_run(small_run):
    again = lesionbench.open(str(small_run.folder))

    assert again == small_run
    assert again.finished
    assert again.failed.empty
    assert again.settings.seeds == 2
    assert repr(again) == f"<Run {str(small_run.folder)!r}: 28 of 28 cells done>"


def test_a_run_can_be_opened_by_itself(small_run):
    assert lesionbench.open(small_run) is small_run


@pytest.mark.parametrize("folder", [3, None, b"run"])
def test_what_is_no_path_is_refused(folder):
    with pytest.raises(SettingsError, match="folder is a path, as text or a Path, not"):
        lesionbench.open(folder)


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(OutputError, match="holds no experiment"):
        lesionbench.open(tmp_path)


def test_the_notebook_shows_the_answer_first_and_escapes_every_name(small_run):
    shown = small_run._repr_html_()

    assert shown.index("noise@8: ") < shown.index("<table")
    assert "95% interval" in shown
    assert "<b>be&nign" not in shown


def test_bad_names_in_a_run_never_reach_a_notebook_as_markup(small_run, tmp_path):

    copy = tmp_path / "<script>"
    shutil.copytree(small_run.folder, copy, ignore=shutil.ignore_patterns(".tables.json"))
    for table in ("leaderboard", "comparisons"):
        path = copy / f"{table}.csv"
        path.write_text(path.read_text().replace("noise", "<img>"))

    shown = lesionbench.open(copy)._repr_html_()

    assert "<script>" not in shown
    assert "<img>" not in shown
    assert "&lt;img&gt;" in shown


def test_a_run_that_has_no_tables_yet_says_so(small_run, tmp_path):

    copy = tmp_path / "early"
    copy.mkdir()
    for name in ("experiment.toml", "cells.csv"):
        shutil.copy(small_run.folder / name, copy)

    early = lesionbench.open(copy)

    assert "run the experiment to its end" in early._repr_html_()
    with pytest.raises(InputError, match=r"there is no leaderboard\.csv"):
        _ = early.leaderboard


DAMAGE = {
    "no usable folds": ("experiment.toml", lambda text: text.replace("folds = 2", "")),
    "no usable classes": ("experiment.toml", lambda text: text.replace("classes = [", "other = [")),
    "cannot be read .*'two'": ("cells.csv", lambda text: text.replace(",1,", ",two,")),
    "has no column 'cell'": ("cells.csv", lambda _: "a,b\n1,2\n"),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_of_a_run_is_named(small_run, tmp_path, message):
    name, change = DAMAGE[message]
    for file in ("experiment.toml", "cells.csv"):
        (tmp_path / file).write_text((small_run.folder / file).read_text())
    (tmp_path / name).write_text(change((tmp_path / name).read_text()))

    with pytest.raises(OutputError, match=f"{re.escape(name)} .*{message}"):
        _ = lesionbench.open(tmp_path).finished


def test_a_broken_byte_in_the_cells_of_a_run_is_refused(small_run, tmp_path):
    (tmp_path / "experiment.toml").write_text((small_run.folder / "experiment.toml").read_text())
    (tmp_path / "cells.csv").write_bytes(b"\xff")

    with pytest.raises(OutputError, match=r"cells\.csv cannot be read"):
        lesionbench.open(tmp_path).show()
