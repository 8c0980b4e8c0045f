"""The order of a run's tasks: what waits for what, and which of those that are ready comes next.

A run goes repeat by repeat, so that the first repeats are whole early. What would otherwise be waited for in the end
goes first: a task that takes, with the longest chain of tasks behind it, as long as each worker still has work.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lesionbench.experiment.grid import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from lesionbench.experiment.costs import Costs
    from lesionbench.experiment.tasks import Task

OFTEN = 1.0  # seconds between two estimates of how long the tasks take


class Queue:
    """The tasks of a run that have not ended; inside, a task is known by its number."""

    def __init__(self, tasks: Sequence[Task], needs: Callable[[Task], Collection[Task]], costs: Costs) -> None:
        """tasks: each after those that it needs; what a task needs and is not among them is there already."""
        self._tasks = list(tasks)
        self._number = {task: number for number, task in enumerate(tasks)}
        self._needs = [{self._number[one] for one in needs(task) if one in self._number} for task in tasks]
        self._waiters: list[list[int]] = [[] for _ in tasks]
        for number, needed in enumerate(self._needs):
            for one in needed:
                self._waiters[one].append(number)
        self._costs = costs
        self._work = [costs.work(task) for task in tasks]
        self._repeat = [(task.seed, task.classifier_seed if isinstance(task, Cell) else 1) for task in tasks]
        self._to_begin = set(range(len(tasks)))
        self._ready = {number for number, needed in enumerate(self._needs) if not needed}
        self._last: list[int] = []  # ready too, when nothing else is
        self._estimate()

    def __bool__(self) -> bool:
        """Whether a task is ready."""
        return bool(self._ready or self._last)

    def first(self, slots: int) -> Task:
        """The ready task that comes next where `slots` tasks run at a time; it stays in the queue."""
        if not self._ready:
            return self._tasks[self._last[0]]
        if time.monotonic() > self._estimated + OFTEN:
            self._estimate()
        choice: Iterable[int] = self._ready
        if slots * max(self._chain[number] for number in choice) < self._left:  # nothing is urgent
            earliest = min(self._repeat[number] for number in choice)
            choice = (number for number in choice if self._repeat[number] == earliest)
        return self._tasks[min(choice, key=lambda number: (-self._chain[number], number))]

    def begin(self, task: Task) -> None:
        """Take a task out: it runs now."""
        number = self._number[task]
        self._to_begin.remove(number)
        self._ready.discard(number)
        self._last = [one for one in self._last if one != number]
        self._left -= self._seconds[number]

    def put_back(self, task: Task, *, last: bool = False) -> None:
        """Put a task back that has to run again; last: when nothing else is ready."""
        number = self._number[task]
        self._to_begin.add(number)
        self._left += self._seconds[number]
        if last:
            self._last.append(number)
        else:
            self._ready.add(number)

    def ended(self, task: Task) -> None:
        """Let the tasks begin that waited for this one alone."""
        done = self._number[task]
        for number in self._waiters[done]:
            self._needs[number].discard(done)
            if not self._needs[number] and number in self._to_begin:
                self._ready.add(number)

    def give_up(self, task: Task) -> list[Task]:
        """Take the tasks out that wait for this one, which failed, and return them."""
        waiters = [number for number in self._waiters[self._number[task]] if number in self._to_begin]
        self._to_begin.difference_update(waiters)
        return [self._tasks[number] for number in waiters]

    def _estimate(self) -> None:
        """Estimate the seconds of every task, of each with the longest chain behind it, and of all that is left."""
        of_work = {work: self._costs.seconds(work) for work in set(self._work)}
        self._seconds = [of_work[work] for work in self._work]
        self._chain = [0.0] * len(self._tasks)
        for number in reversed(range(len(self._tasks))):
            behind = max((self._chain[waiter] for waiter in self._waiters[number]), default=0.0)
            self._chain[number] = self._seconds[number] + behind
        self._left = sum(self._seconds[number] for number in self._to_begin)
        self._estimated = time.monotonic()
