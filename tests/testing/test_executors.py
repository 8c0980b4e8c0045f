"""Every check fails for an executor that breaks the promise it is about."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lesionbench import Executor, Workers
from lesionbench.testing import executors
from lesionbench.workers.apart import run_apart


class Pool(ThreadPoolExecutor):
    def submit(self, function, *args):
        return super().submit(self.changed, function, *args)

    def changed(self, function, *args):
        return function(*args)


class AsText(Pool):
    def changed(self, function, *args):
        return str(function(*args))


class OtherErrors(Pool):
    def changed(self, function, *args):
        try:
            return function(*args)
        except Exception as error:
            raise RuntimeError(str(error)) from None


class OneProcess(Pool):
    def changed(self, function, *args):
        return args[0]() if function is run_apart else function(*args)


def made_with(pool, slots=1):
    """An executor that gives tasks to a pool of this class."""

    class Made(Executor):
        @contextmanager
        def open(self, opening):
            with pool(1) as opened:
                yield Workers(opened, slots)

    return Made()


@pytest.mark.parametrize(
    ("executor", "check", "reason"),
    [
        (made_with(Pool, 0), executors.check_it_has_room_for_a_task, "0 tasks run at a time"),
        (made_with(AsText), executors.check_a_result_comes_back_as_it_was, 'and "(Needs'),
        (made_with(OtherErrors), executors.check_an_error_comes_back_as_it_was, "and RuntimeError('on purpose') came"),
        (made_with(OneProcess), executors.check_a_task_runs_in_a_process_of_its_own, "in the process that started it"),
        (made_with(AsText), executors.check_a_killed_task_is_told_and_the_next_one_runs, "'its process was killed by"),
        (made_with(AsText), executors.check_a_task_that_takes_too_long_is_ended, "'it took longer than its limit"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_broken_promise_is_named(executor, check, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(AssertionError, match=re.escape(reason)):
        check(executor)

    assert list(tmp_path.iterdir()) == []
