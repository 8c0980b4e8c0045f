"""The runner against executors that misbehave, without processes."""

import asyncio
import csv
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager

import pytest

from lesionbench.experiment.bench import Bench
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.runner import Run
from lesionbench.experiment.settings import make_experiment
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
