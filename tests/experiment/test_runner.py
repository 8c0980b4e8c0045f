"""The runner against executors that misbehave, without processes."""

import asyncio
import csv
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from threading import Timer

import pytest

from lesionbench.experiment import runner
from lesionbench.experiment.bench import LOGS, Bench
from lesionbench.experiment.grid import PoolJob
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.progress_log import PROGRESS
from lesionbench.experiment.runner import Run, last_progress
from lesionbench.experiment.settings import make_experiment
from lesionbench.experiment.tasks import Outcome
from lesionbench.plugins import Plugins
from lesionbench.report.progress import QuietView
from lesionbench.workers.executors import UnfitWorker, Workers


class Misbehaving(Executor):
    """Never runs anything: every task ends with the same exception."""

    def __init__(self, error):
        self.error = error

    def submit(self, *_, **__):
        future = Future()
        future.set_exception(self.error)
        return future


class Refusing(Executor):
    """Takes no task."""

    def submit(self, *_, **__):
        raise RuntimeError("the queue is full")


class Forgetful(Executor):
    """Brings nothing for a result."""

    def submit(self, *_, **__):
        future = Future()
        future.set_result(None)
        return future


class Cancelling(Executor):
    """Cancels every task."""

    def submit(self, *_, **__):
        future = Future()
        future.cancel()
        return future


@pytest.mark.parametrize(
    ("executor", "told"),
    [
        (Misbehaving(ValueError("the scheduler gave up")), "ValueError: the scheduler gave up"),
        (Misbehaving(BrokenExecutor("gone")), "the executor broke (BrokenExecutor: gone)"),
        (Misbehaving(asyncio.CancelledError()), "the executor brought no result (CancelledError)"),
        (Misbehaving(UnfitWorker("numpy is 1 there and 2 here", "node7")), "numpy is 1 there and 2 here (node7)"),
        (Refusing(), "the executor brought no result (RuntimeError: the queue is full)"),
        (Forgetful(), "the executor brought None for a result"),
        (Cancelling(), "the executor brought no result (CancelledError)"),
    ],
)
def test_whatever_an_executor_does_fails_the_cells_and_ends_the_run(tmp_path, executor, told):
    plugins = Plugins.load()
    given = {"dataset": "skin-phantom[size=16,train=60,test=20]", "augmenters": "oversample", "seeds": 2}
    prepared = prepare(make_experiment(given, plugins), plugins, tmp_path / "store")

    @contextmanager
    def open_workers():
        yield Workers(executor, 2)

    rows = Run(Bench(prepared, plugins, tmp_path / "o" / "logs"), tmp_path / "o", QuietView())(open_workers).leaderboard

    assert [(row["augmenter"], row["seeds"], row["failed_cells"]) for row in rows] == [
        ("none", 0, 2),
        ("oversample", 0, 2),
    ]
    with (tmp_path / "o" / "cells.csv").open(newline="") as file:
        assert all(row["status"] == "failed" and told in row["error"] for row in csv.DictReader(file))


class Counting(Executor):
    """Runs tasks in this thread when they are waited for; counts how many were given at the same time."""

    def __init__(self, seconds=0.1):
        self.seconds = seconds
        self.most = 0
        self.open = []

    def submit(self, *_, **__):
        future = Future()
        self.open = [one for one in self.open if not one.done()] + [future]
        self.most = max(self.most, len(self.open))
        Timer(self.seconds, lambda: future.set_result(Outcome("it is only a test", ()))).start()
        return future


@pytest.mark.parametrize(("memory_gb", "most"), [(None, 4), (5.0, 2), (0.5, 1)])
def test_no_more_tasks_run_at_a_time_than_memory_allows_and_at_least_one(tmp_path, monkeypatch, memory_gb, most):
    plugins = Plugins.load()
    given = {"dataset": "skin-phantom[size=16,train=60,test=20]", "classifiers": "linear", "seeds": 6}
    prepared = prepare(make_experiment(given, plugins), plugins, str(tmp_path / "store"))
    monkeypatch.setattr(plugins.get("classifier", "linear").cls, "memory_gb", 2.0)
    counting, view = Counting(), Listening()

    @contextmanager
    def open_workers():
        yield Workers(counting, 4, memory_gb)

    Run(Bench(prepared, plugins, tmp_path / "o" / "logs"), tmp_path / "o", view)(open_workers)

    assert counting.most == most
    assert len([line for line in view.lines if "GB of memory are free" in line]) == (memory_gb is not None)


class Listening(QuietView):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def test_a_task_that_has_not_reported_for_long_is_named_once_with_how_to_cancel_it(tmp_path, monkeypatch):
    plugins = Plugins.load()
    given = {"dataset": "skin-phantom[size=16,train=60,test=20]", "classifiers": "linear", "seeds": 1}
    prepared = prepare(make_experiment(given, plugins), plugins, str(tmp_path / "store"))
    monkeypatch.setattr(runner, "SILENT", 0.1)
    view, out = Listening(), tmp_path / "a b"

    @contextmanager
    def open_workers():
        yield Workers(Counting(seconds=2.0), 4)

    Run(Bench(prepared, plugins, out / "logs"), out, view)(open_workers)

    told = [line for line in view.lines if "has not reported" in line]
    assert len(told) == 1
    assert told[0].endswith(f"lesionbench cancel '{out}' none_linear_fold0_seed1")


@pytest.mark.parametrize(
    ("line", "usable"),
    [
        ('{"step": 1, "total": 3, "seconds": 0.5, "loss": NaN}', True),
        ('{"step": 1, "total": null, "seconds": 0.5}', False),
        ('{"step": 1, "total": 3, "seconds": "x"}', False),
        ('{"step": 1, "total": NaN, "seconds": 0.5}', False),
        (f'{{"step": 1, "total": 1{400 * "0"}, "seconds": 0.5}}', False),
        ('{"step": 1}', False),
        ("[1]", False),
    ],
)
def test_a_report_without_usable_numbers_is_none(tmp_path, line, usable):
    job = PoolJob("classic", 0, 1)
    (tmp_path / LOGS / job.name).mkdir(parents=True)
    (tmp_path / LOGS / job.name / PROGRESS).write_text(f"{line}\n")
    assert bool(last_progress(tmp_path, job)) == usable
