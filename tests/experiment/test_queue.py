"""The order of tasks: what a run would wait for goes first, and otherwise one repeat comes after the other."""

import heapq
from dataclasses import dataclass

import pytest

from lesionbench.experiment.costs import LONG, QUICK, Costs
from lesionbench.experiment.grid import Cell, GridArm, PoolJob, part_jobs
from lesionbench.experiment.queue import Queue
from lesionbench.pipeline.augmenter import Augmenter
from lesionbench.plugins import Plugins


@dataclass(frozen=True)
class Stand:
    """A task that takes some seconds."""

    name: str
    seconds: float
    seed: int = 1
    needs: tuple = ()


class Known:
    """Costs that are known: a task's work is the task."""

    def work(self, task):
        return task

    def seconds(self, work):
        return work.seconds


def queue_of(tasks):
    return Queue(tasks, lambda task: task.needs, Known())


def run(tasks, slots):
    """When each task ends, in seconds, with `slots` workers."""
    queue, clock, running, ends = queue_of(tasks), 0.0, [], {}
    while queue or running:
        while queue and len(running) < slots:
            task = queue.first(slots)
            queue.begin(task)
            heapq.heappush(running, (clock + task.seconds, len(ends) + len(running), task))
        clock, _, task = heapq.heappop(running)
        ends[task] = clock
        queue.ended(task)
    return ends


def grid(pools, seeds, doses=2):
    """A baseline cell and, after each pool, a cell for each dose, with as many repeats: pools first, then cells."""
    made = [Stand(f"pool {name}", seconds, seed) for seed in range(seeds) for name, seconds in pools.items()]
    after = [Stand(f"{pool.name} {dose}", 45 + dose, pool.seed, (pool,)) for pool in made for dose in range(doses)]
    return [*made, *(Stand("cell none", 45, seed) for seed in range(seeds)), *after]


@pytest.mark.parametrize(
    ("pools", "seeds", "slots", "most"),
    [
        ({"dcgan": 80, "classic": 2}, 3, 2, 1.04),
        ({"dcgan": 80, "classic": 2}, 10, 4, 1.03),
        ({"dcgan": 80, "classic": 2, "progressive": 400}, 3, 2, 1.01),
        ({"dcgan": 80, "classic": 2, "progressive": 400}, 1, 2, 1.01),
    ],
)
def test_a_grid_takes_little_longer_than_its_work_shared_evenly(pools, seeds, slots, most):
    tasks = grid(pools, seeds)
    ideal = max(sum(task.seconds for task in tasks) / slots, max(pools.values()) + 46)
    assert max(run(tasks, slots).values()) <= most * ideal


def test_the_first_repeat_is_whole_long_before_the_last():
    ends = run(grid({"dcgan": 80, "classic": 2}, seeds=10), slots=2)
    first = max(end for task, end in ends.items() if task.seed == 0)
    assert first < 0.15 * max(ends.values())


def test_equal_tasks_go_in_their_order():
    tasks = [Stand(f"{number}", 1.0) for number in range(50)]
    assert [task.name for task in run(tasks, 1)] == [task.name for task in tasks]


def test_what_waits_for_a_failed_task_is_given_up_once():
    one, other = Stand("one", 1), Stand("other", 1)
    both = Stand("both", 1, needs=(one, other))
    queue = queue_of([one, other, both])
    for task in (one, other):
        queue.begin(task)
    assert queue.give_up(one) == [both]
    assert queue.give_up(other) == []
    assert not queue


def test_a_task_that_is_put_back_to_the_end_goes_when_nothing_else_is_ready():
    one, other = Stand("one", 9), Stand("other", 1)
    queue = queue_of([one, other])
    queue.begin(one)
    queue.put_back(one, last=True)
    assert queue.first(2) is other
    queue.begin(other)
    assert queue.first(2) is one
    queue.begin(one)
    assert not queue


CELL = Cell(GridArm("none", 0, "none", "kth-cnn[steps=200]"), 0, 1)
PARTS = {"dcgan[steps=1000]": ("a", "b")}
GAN = PoolJob("dcgan[steps=1000]", 0, 1)


@pytest.fixture
def costs():
    return Costs(Plugins.load(), PARTS)


def seconds(costs, task):
    return costs.seconds(costs.work(task))


def test_before_anything_is_measured_steps_count_and_unknown_numbers_of_steps_are_many(costs):
    part = part_jobs(GAN, PARTS)[0]
    assert seconds(costs, part) == pytest.approx(5 * seconds(costs, CELL))
    assert seconds(costs, GAN) == seconds(costs, PoolJob("classic", 0, 1)) == QUICK
    assert seconds(costs, PoolJob("progressive-gan", 0, 1)) == LONG


def test_measured_fits_count_more_than_steps_and_a_part_stands_for_its_share(costs):
    parts = part_jobs(GAN, PARTS)
    costs.note(parts[0], 30.0)
    assert seconds(costs, parts[1]) == 30.0
    costs.note(GAN, 80.0)  # the whole fit, as its record says
    costs.note(GAN, None)
    assert seconds(costs, parts[1]) == 35.0


def test_the_first_fit_of_a_plugin_tells_while_it_runs_how_long_it_takes(costs):
    job = PoolJob("progressive-gan", 0, 1)
    costs.note_progress(job, {})
    assert seconds(costs, job) == LONG
    costs.note_progress(job, {"step": 50, "total": 200, "seconds": 10.0})
    assert seconds(costs, job) == 40.0
    costs.note(job, 90.0)
    costs.note_progress(job, {"step": 50, "total": 200, "seconds": 10.0})
    assert seconds(costs, job) == 90.0


class Stages(Augmenter):
    """An augmenter whose `steps` are several numbers."""

    name = "stages"
    steps: tuple[int, ...] = (10, 20)

    def fit(self, train, context):
        raise NotImplementedError


def test_steps_that_are_no_number_are_an_unknown_number_of_steps(costs):
    costs.plugins.adopt("augmenter", Stages)
    assert seconds(costs, PoolJob("stages", 0, 1)) == LONG


class Broken(Stages):
    """An augmenter that cannot be shortened."""

    name = "broken"

    def shortened(self, steps):
        raise RuntimeError("no")


def test_a_plugin_that_cannot_be_shortened_takes_an_unknown_time(costs):
    costs.plugins.adopt("augmenter", Broken)
    assert seconds(costs, PoolJob("broken", 0, 1)) == LONG
