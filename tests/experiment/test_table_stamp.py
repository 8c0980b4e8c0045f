"""Tables that would be the same are not made again, and everything else is."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest

import lesionbench
from lesionbench.errors import OutputError
from lesionbench.evidence import evidence
from lesionbench.experiment import table_stamp, tables
from lesionbench.experiment.bench import Bench
from lesionbench.experiment.grid import cells
from lesionbench.experiment.output import judged_otherwise, predictions_path, write_settings
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.settings import make_experiment
from lesionbench.experiment.table_stamp import STAMP
from lesionbench.experiment.tables import CellRows, write_cells, write_tables
from lesionbench.pictures import dose_response
from lesionbench.pipeline.predictions import Predictions, as_text
from lesionbench.plugins import Plugins
from lesionbench.store.digests import file_digest

SETTINGS = {
    "dataset": "skin-phantom[size=16,train=40,test=30]",
    "augmenters": ["oversample"],
    "synthetic": [4, 8],
    "classifiers": ["linear"],
    "seeds": 2,
}


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    """The folder of a run with made-up predictions and all its tables."""
    out = tmp_path_factory.mktemp("run") / "o"
    plugins = Plugins.load()
    bench = Bench(prepare(make_experiment(SETTINGS, plugins), plugins, str(out / "store")), plugins, out / "logs")
    write_settings(out, bench.prepared, plugins)
    (out / "predictions").mkdir()
    rows = CellRows(bench, 0)
    noted = []
    for number, cell in enumerate(cells(bench.prepared.experiment, 1)):
        path = predictions_path(out, cell)
        path.write_text(as_text([made_up(bench.fold(0), part, number) for part in ("validation", "test")]))
        noted.append(rows.row(cell, file_digest(path), None))
    write_cells(out, noted)
    write_tables(out)
    return out


def made_up(split, part, number):
    images = getattr(split, part)
    noise = np.random.default_rng(number).random(len(images))
    positive = np.clip(0.5 * images.labels + 0.7 * noise - 0.1, 0, 1)[:, None]
    return Predictions.of(part, 0, images, np.hstack([1 - positive, positive]))


@pytest.fixture
def out(one_run, tmp_path):
    """A copy of the run, in another place and with new times."""
    shutil.copytree(one_run, tmp_path / "o")
    return tmp_path / "o"


@pytest.fixture
def made(monkeypatch):
    """A list with an entry for each time that the tables are made."""
    calls, real = [], evidence.gather_evidence
    monkeypatch.setattr(evidence, "gather_evidence", lambda *given: calls.append(given) or real(*given))
    return calls


def tables_of(out):
    """The content of every table and picture."""
    kept = [path for path in out.rglob("*") if path.suffix in (".csv", ".png") and "store" not in path.parts]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in kept}


def test_the_tables_of_an_unchanged_run_are_not_made_again_and_the_screen_shows_the_same(out, made):
    before, shown = tables_of(out), write_tables(out)
    (out / STAMP).unlink()
    fresh = write_tables(out)

    assert len(made) == 1  # without the stamp
    assert dataclasses.asdict(shown) == dataclasses.asdict(fresh)
    assert tables_of(out) == before
    assert {"leaderboard.csv", "comparisons.csv", "dose_response.png"} < before.keys()


def same_size(path):
    """Change one digit of a file and keep its size and times, as some editors do."""
    content, found = path.read_bytes(), path.stat()
    at = next(place for place, byte in enumerate(content) if byte in b"0123456789")
    path.write_bytes(content[:at] + (b"1" if content[at : at + 1] != b"1" else b"2") + content[at + 1 :])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("leaderboard.csv", same_size),
        ("leaderboard.csv", remove),
        ("per_class.csv", empty),
        ("dose_response.png", same_size),
        ("dose_response.png", remove),
        ("confusion", same_size),
        ("confusion", remove),
    ],
)
def test_a_table_that_was_edited_or_removed_is_made_again(out, made, name, change):
    before = tables_of(out)
    change(sorted((out / name).iterdir())[0] if name == "confusion" else out / name)
    assert tables_of(out) != before

    write_tables(out)

    assert tables_of(out) == before and len(made) == 1


@pytest.mark.parametrize("name", ["confusion/of_an_arm_that_was_removed.csv", "comparison.csv"])
def test_a_table_that_does_not_belong_to_the_run_is_removed(out, name):
    before = tables_of(out)
    (out / name).write_text("a\n1\n")

    write_tables(out)

    assert tables_of(out) == before


def test_a_table_that_became_something_else_than_a_file_is_made_again(out):
    before = tables_of(out)
    (out / "variance.csv").unlink()
    os.mkfifo(out / "variance.csv")

    write_tables(out)

    assert tables_of(out) == before


@pytest.mark.parametrize("change", [same_size, empty, remove, lambda path: path.write_text("[]")])
def test_a_damaged_stamp_counts_for_nothing(out, made, change):
    before = tables_of(out)
    change(out / STAMP)

    write_tables(out)

    assert tables_of(out) == before and len(made) == 1


def test_a_folder_in_the_place_of_the_stamp_is_named_before_anything_is_written(out):
    (out / STAMP).unlink()
    (out / STAMP).mkdir()
    (out / "leaderboard.csv").unlink()
    with pytest.raises(OutputError, match="must be a file that can be written"):
        write_tables(out)
    assert not (out / "leaderboard.csv").exists()


def test_what_the_screen_shows_cannot_be_edited_in_the_stamp(out, made):
    noted = json.loads((out / STAMP).read_text())
    right = noted["shown"]["leaderboard"][0]["auc"]
    noted["shown"]["leaderboard"][0]["auc"] = 0.999
    (out / STAMP).write_text(json.dumps(noted))

    assert write_tables(out).leaderboard[0]["auc"] == right
    assert len(made) == 1


def test_other_predictions_make_other_tables(out, made):
    before = (out / "leaderboard.csv").read_bytes()
    path = sorted((out / "predictions").iterdir())[0]
    old = file_digest(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *(line.replace(",0.", ",0.0", 1) for line in lines[1:])]))
    noted = (out / "cells.csv").read_text()
    (out / "cells.csv").write_text(noted.replace(old, file_digest(path)))

    write_tables(out)

    assert (out / "leaderboard.csv").read_bytes() != before and len(made) == 1


@pytest.mark.parametrize("change", [{"margin": 0.3}, {"judged_by": "accuracy"}, {"operating_point": 0.8}])
def test_a_run_that_is_judged_in_another_way_gets_other_tables_and_then_its_own_again(out, made, change):
    before = tables_of(out)
    as_before = {name: getattr(judged_otherwise(out, {}), name) for name in change}

    write_tables(out, judged_otherwise(out, change))
    assert tables_of(out) != before
    write_tables(out, judged_otherwise(out, as_before))

    assert tables_of(out) == before and len(made) == 2


def test_the_same_judging_makes_nothing_again(out, made):
    write_tables(out, judged_otherwise(out, {"margin": 0.02}))

    assert not made


def test_published_values_that_come_or_change_are_compared(out, made):
    header = "paper,table,system,augmenter,synthetic_per_class,on_the_fly,classifier,positive_class,class,metric"
    for value in ("0.81", "0.82"):
        (out / "published.csv").write_text(
            f"{header},published,n,note\nP 2020,I,theirs,oversample,4,none,linear,malignant,,auc,{value},,\n"
        )
        write_tables(out)
        assert value in (out / "comparison.csv").read_text()
    (out / "published.csv").unlink()
    write_tables(out)

    assert not (out / "comparison.csv").exists() and len(made) == 3


@pytest.mark.parametrize("what", ["version", "library", "code"])
def test_another_version_makes_the_tables_again(out, made, monkeypatch, what):
    real = table_stamp.version
    if what == "version":
        monkeypatch.setattr("lesionbench.__version__", "99")
    elif what == "library":
        monkeypatch.setattr(table_stamp, "version", lambda name: "99" if name == "scipy" else real(name))
    else:
        monkeypatch.setattr(table_stamp, "files_digest", lambda *_: "other")

    write_tables(out)
    write_tables(out)

    assert len(made) == 1


def test_a_picture_that_could_not_be_drawn_is_tried_again(out, monkeypatch):
    before, real = tables_of(out), dose_response.save_figure
    (out / "dose_response.png").unlink()
    monkeypatch.setattr(dose_response, "save_figure", lambda *_: 1 / 0)
    write_tables(out)
    assert not (out / "dose_response.png").exists()
    monkeypatch.setattr(dose_response, "save_figure", real)

    write_tables(out)

    assert tables_of(out) == before


def test_a_cell_that_failed_is_counted_although_no_table_of_numbers_changed(out, made):
    text = (out / "cells.csv").read_text()
    first = text.splitlines()[1]
    (out / "cells.csv").write_text(text.replace(first, first.replace(",done,,", ",failed,broken,")))

    tables = write_tables(out)

    assert len(tables.failed) == 1 and len(made) == 1
    assert write_tables(out) == tables and len(made) == 1


def test_tables_that_a_run_writes_meanwhile_are_not_replaced_by_older_ones(out, monkeypatch):
    newest, cells_csv = tables_of(out), (out / "cells.csv").read_text()
    (out / STAMP).unlink()
    head, last = cells_csv.rstrip("\n").rsplit("\n", 1)
    (out / "cells.csv").write_text(f"{head}\n{last.replace(',done,', ',waiting,', 1)}\n")
    real, calls = evidence.gather_evidence, []

    def made_while_a_run_ends(*given):
        calls.append(given)
        if len(calls) == 1:
            (out / "cells.csv").write_text(cells_csv)
            write_tables(out)
        return real(*given)

    monkeypatch.setattr(evidence, "gather_evidence", made_while_a_run_ends)
    assert write_tables(out).waiting == 0
    assert tables_of(out) == newest


def test_every_library_behind_the_tables_is_in_the_stamp():
    source = Path(lesionbench.__file__).parent
    files = [*source.glob("evidence/**/*.py"), *source.glob("pictures/*.py"), source / "pipeline" / "metrics.py"]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    outside = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"lesionbench"}
    distributions = packages_distributions()
    assert {distributions[name][0].lower() for name in outside} <= {*table_stamp.LIBRARIES}


def test_half_made_tables_of_a_run_that_was_killed_are_refused_until_they_are_made(out, monkeypatch):
    before, real = tables_of(out), tables.write_derived

    def killed(path, text):
        if path.name == "comparisons.csv":
            raise KeyboardInterrupt
        real(path, text)

    monkeypatch.setattr(tables, "write_derived", killed)
    with pytest.raises(KeyboardInterrupt):
        write_tables(out, judged_otherwise(out, {"margin": 0.3}))
    monkeypatch.setattr(tables, "write_derived", real)

    with pytest.raises(OutputError, match="was changed after it was written"):
        assert lesionbench.open(out).comparisons is None
    write_tables(out, judged_otherwise(out, {"margin": 0.02}))
    assert len(lesionbench.open(out).comparisons)
    assert tables_of(out) == before


def test_tables_that_are_older_than_the_cells_are_refused_until_they_are_made(out):
    run, text = lesionbench.open(out), (out / "cells.csv").read_text()
    assert not run.leaderboard["failed_cells"].any()
    first = text.splitlines()[1]
    (out / "cells.csv").write_text(text.replace(first, first.replace(",done,,", ",failed,broken,")))

    with pytest.raises(OutputError, match=r"other cells than cells\.csv lists; `lesionbench leaderboard"):
        assert run.leaderboard is None
    write_tables(out)
    assert run.leaderboard["failed_cells"].sum() == 1


@pytest.mark.parametrize("name", ["comparison.csv", "confusion/no_cell.csv"])
def test_a_folder_in_the_place_of_a_table_that_is_removed_is_named_before_anything_is_written(out, name):
    (out / name).mkdir()
    (out / "leaderboard.csv").unlink()
    with pytest.raises(OutputError, match="must be a file that can be written"):
        write_tables(out)
    assert not (out / "leaderboard.csv").exists()
