"""Fits in parts: each part is a task of its own, and what comes out is what a fit in one piece gives."""

import csv
import json
import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lesionbench.errors import SettingsError
from lesionbench.experiment.bench import Bench
from lesionbench.experiment.grid import cells
from lesionbench.experiment.prepare import prepare, used_parts
from lesionbench.experiment.progress_log import Progress
from lesionbench.experiment.settings import make_experiment
from lesionbench.experiment.tasks import RUNNING, do
from lesionbench.pipeline.augmenter import AugmenterInParts
from lesionbench.plugins import Plugins
from lesionbench.store.addresses import open_store
from lesionbench.store.inventory import take_inventory
from lesionbench.store.layout import PARTS
from lesionbench.store.pruning import plan_pruning
from lesionbench.testing import a_context

DOTS = ("--dataset", "spy-dots", "--classifier", "spy-centroids", "--positive-class", "b", "--seeds", "1")
GRID = (*DOTS, "--synthetic", "5", "--augmenter", "spy-parts")
FAILING = (*DOTS, "--synthetic", "5", "--augmenter", "spy-parts[fails=b]")
POOL = "spy-parts_fold0_seed1"


def table(path):
    with path.open(newline="") as file:
        return {row["cell"]: row for row in csv.DictReader(file)}


def fitted(notes, *roles):
    """The folders in which anything was fitted, by what was noted there."""
    lines = {path.name: [json.loads(line)[0] for line in path.read_text().splitlines()] for path in notes.iterdir()}
    return sorted(name for name, found in lines.items() if set(roles) & set(found))


@pytest.fixture
def noting(with_spies):
    """The command line, with a folder in which the spies note what they are given."""
    notes = with_spies.cwd / "notes"
    notes.mkdir()
    with_spies.environment["SPY_NOTES"] = str(notes)
    return with_spies


@pytest.fixture
def bench(tmp_path):
    """A bench for a small DCGAN, without the command line."""
    plugins = Plugins.load()
    gan = "dcgan[steps=2,batch_size=2]"
    given = {"dataset": "skin-phantom[size=16,train=20,test=12]", "augmenters": gan, "classifiers": "linear"}
    prepared = prepare(make_experiment(given, plugins), plugins, str(tmp_path / "store"))
    return Bench(prepared, plugins, tmp_path / "logs")


def test_a_fit_in_parts_draws_what_a_fit_in_one_piece_draws(bench, tmp_path):
    job = next(job for cell in cells(bench.prepared.experiment, 1) for job in cell.pools)
    for part in reversed(bench.parts_of(job)):
        bench.part(part)
    joined = bench.sampler(job)

    context = a_context(tmp_path / "whole", bench.seeds.augment(job))
    whole = bench.plugins.augmenter(job.augmenter).fit(bench.split_of(job).train, context)

    assert all(np.array_equal(joined.sample(label, 20, 3), whole.sample(label, 20, 3)) for label in (0, 1))
    logs = bench.logs / job.name
    assert {path.name for path in context.folder.iterdir()} == {path.name for path in logs.iterdir()} - {
        "progress.jsonl"
    }
    lines = [json.loads(line) for line in (logs / "progress.jsonl").read_text().splitlines()]
    reported = [(line["step"], line["total"], line["label"]) for line in lines]
    assert reported == [(step, total, scalars["label"]) for step, total, scalars in context.report.rows]


@pytest.fixture
def other_run(bench, tmp_path):
    """A bench of another run with the same store."""
    return Bench(bench.prepared, bench.plugins, tmp_path / "other" / "logs")


def test_a_part_is_not_fitted_when_another_run_has_made_the_fit_meanwhile(bench, other_run):
    job = next(job for cell in cells(bench.prepared.experiment, 1) for job in cell.pools)
    bench.pool(job)

    assert do(bench.parts_of(job)[0], other_run.prepared, other_run.logs.parent).error is None
    assert not bench.store.keys(PARTS)
    assert not other_run.logs.exists()


def test_parts_that_another_run_joins_and_removes_while_they_are_read_are_no_loss(bench, other_run, monkeypatch):
    job = next(job for cell in cells(bench.prepared.experiment, 1) for job in cell.pools)
    real, joined = Bench.draws, []

    def draws(self, *given, **named):
        if self is other_run and not joined and all(map(bench.has_part, bench.parts_of(job))):
            joined.append(bench.sampler(job))
        return real(self, *given, **named)

    monkeypatch.setattr(Bench, "draws", draws)
    found = other_run.sampler(job)
    assert joined
    assert np.array_equal(found.sample(1, 4, 3), joined[0].sample(1, 4, 3))


def test_a_sweep_removes_the_parts_of_finished_fits_alone(bench):
    job = next(job for cell in cells(bench.prepared.experiment, 1) for job in cell.pools)
    part = bench.parts_of(job)[0]
    bench.part(part)
    bench.store.sweep()
    assert bench.store.keys(PARTS)

    bench.pool(job)
    bench.part(part)  # as if whoever made the fit had been killed before it removed its parts
    bench.store.sweep()
    assert not bench.store.keys(PARTS)


class Parts(AugmenterInParts):
    """An augmenter that calls its parts whatever it is told to."""

    name = "in-parts"
    names: Any = ("a", "b")

    def parts(self, classes):
        return self.names() if callable(self.names) else self.names

    def fit_part(self, part, train, context):
        context.report(3, 3, loss=1.0, label=7.0)

    def join(self, parts, train, context):
        return len(parts)


@pytest.mark.parametrize("names", [None, "ab", (1, 2), {"a", "b"}, lambda: 1 / 0])
def test_parts_that_are_not_named_are_refused_in_one_message(monkeypatch, names):
    plugins = Plugins.load()
    experiment = make_experiment({"augmenters": "classic"}, plugins)
    monkeypatch.setattr(Plugins, "augmenter", lambda *_: Parts(names=names))
    with pytest.raises(SettingsError, match=r"parts of (its|a) fit"):
        used_parts(experiment, plugins, ("a", "b"))


def test_the_label_of_a_report_is_the_part_in_a_fit_in_one_piece_too(tmp_path):
    context = a_context(tmp_path / "whole", 1)
    assert Parts().fit(SimpleNamespace(classes=("a", "b")), context) == 2
    assert [(step, scalars["label"]) for step, _, scalars in context.report.rows] == [(3, 0.0), (6, 1.0)]


def test_a_fit_in_parts_has_taken_the_steps_that_its_parts_have_taken(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "whole")]
    for folder in folders:
        folder.mkdir()
    parts = [Progress(folder, "cpu") for folder in folders[:2]]
    parts[0](2, 10)  # and stops early
    parts[1](3, 10)

    whole = Progress(folders[2], "cpu")
    whole.join([(part.folder, part.record()) for part in parts])

    assert whole.record().steps == 2 + 3


def test_a_run_fits_each_part_once_and_keeps_the_whole_fit_alone(noting):
    noting("run", *GRID, "--jobs", "2", "--out", "o")

    out, notes = noting.cwd / "o", noting.cwd / "notes"
    assert fitted(notes, "part") == [f"{POOL}_a", f"{POOL}_b"]
    assert fitted(notes, "join") == [POOL]
    row = table(out / "cells.csv")["spy-parts-5_spy-centroids_fold0_seed1"]
    assert (row["status"], row["augmenter_steps"]) == ("done", "6")
    assert not list((out / "store" / PARTS).iterdir())
    assert [run.missing for run in take_inventory(out / "store").runs] == [0]


def test_whoever_cancels_a_fit_in_parts_is_told_its_running_parts(noting):
    noting("jobs", *GRID, "--out", "o")
    running = noting.cwd / "o" / RUNNING
    running.mkdir(exist_ok=True)
    (running / f"{POOL}_a.txt").touch()
    refused = noting("cancel", "o", POOL, status=2)
    assert f"of {POOL}, these parts run, and each is cancelled by its name: {POOL}_a" in refused.stderr


def test_a_part_that_fails_is_named_and_is_all_that_is_fitted_again(noting):
    done = noting("run", *FAILING, "--jobs", "2", "--out", "o", status=1)

    out, notes = noting.cwd / "o", noting.cwd / "notes"
    rows = table(out / "cells.csv")
    error = "spy-parts[fails=b], b: the loss must stay finite, but it is nan at step 3"
    assert [row["error"] for row in rows.values() if row["status"] == "failed"] == [error]
    assert "fit spy-parts[fails=b], b, fold 0, seed 1: failed" in done.stdout
    name = next(path.name for path in (out / "logs").glob("spy-parts-*_fold0_seed1") if "centroids" not in path.name)
    assert "Of the 2 parts of its fit, 1 is there." in noting("explain", "o", name).stdout
    store = open_store(str(out / "store"))
    assert len(store.keys(PARTS)) == 1
    assert not plan_pruning(store).entries.items

    shutil.rmtree(notes)
    notes.mkdir()
    noting("run", *FAILING, "--jobs", "2", "--out", "o", status=1)
    assert fitted(notes, "part") == [f"{name}_b"]


def test_jobs_fit_the_parts_before_what_needs_them_and_give_the_bytes_of_a_run(noting):
    noting("jobs", *GRID, "--out", "o")
    noting("run", *GRID, "--jobs", "1", "--out", "run")

    out = noting.cwd / "o"
    with (out / "jobs.csv").open(newline="") as file:
        jobs = [(row["task"], row["needs"]) for row in csv.DictReader(file)]
    assert jobs[:3] == [(f"{POOL}_a", ""), (f"{POOL}_b", ""), (POOL, f"{POOL}_a {POOL}_b")]
    said = noting("work", "o", "--index", len(jobs) - 1).stdout
    assert [line for line in said.splitlines() if line.startswith("making")] == [
        f"making {name}" for name in (f"{POOL}_a", f"{POOL}_b", POOL, "spy-parts-5_spy-centroids_fold0_seed1")
    ]
    assert "is done already" in noting("work", "o", "--index", 0).stdout
    noting("work", "o")
    noting("leaderboard", "o")
    for name in ("leaderboard.csv", "predictions/spy-parts-5_spy-centroids_fold0_seed1.csv"):
        assert (out / name).read_bytes() == (noting.cwd / "run" / name).read_bytes()


def test_a_job_list_fails_what_needs_a_part_that_failed(noting):
    noting("jobs", *FAILING, "--out", "o")
    noting("work", "o", "--index", "4", status=1)
    noting("leaderboard", "o", status=None)

    row = table(noting.cwd / "o" / "cells.csv")
    failed = [one for one in row.values() if one["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["error"].startswith("spy-parts[fails=b], b: the loss must stay finite")
