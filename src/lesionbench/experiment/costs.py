"""How long tasks take, as far as that is known: a run begins with those that it would otherwise wait for in the end.

Measured fits count; until there are any, the steps that a plugin declares. No result depends on these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from lesionbench.experiment.grid import Cell, PartJob, PoolJob, part_jobs
from lesionbench.experiment.needs import learner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lesionbench.experiment.grid import Parts
    from lesionbench.experiment.tasks import Task
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Plugins

A_STEP = 0.03  # seconds, as long as no fit of the plugin was timed
QUICK = 1.0  # seconds: of a fit that counts no steps, and of joining the parts of one
LONG = 3600.0  # seconds: of a fit that counts its steps and does not say how many


@dataclass(frozen=True)
class Work:
    """What a task does: a share of the fit of one plugin; 0 where it only joins the parts."""

    learner: str
    share: float


@dataclass
class Costs:
    """The seconds of whole fits, by what learns: measured, or expected."""

    plugins: Plugins
    parts: Parts
    measured: dict[str, list[float]] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)

    def work(self, task: Task) -> Work:
        """What a task does."""
        who = learner(task)
        if who not in self.expected:
            self.expected[who] = _by_steps(self._plugin(task)) * len(self.parts.get(who, "1"))
        if isinstance(task, PartJob):
            return Work(who, 1 / len(self.parts[task.augmenter]))
        return Work(who, 0.0 if isinstance(task, PoolJob) and part_jobs(task, self.parts) else 1.0)

    def _plugin(self, task: Task) -> Plugin:
        if isinstance(task, Cell):
            return self.plugins.classifier(task.arm.classifier)
        return self.plugins.augmenter(task.augmenter)

    def note(self, task: Task, seconds: object) -> None:
        """Note how long a fit took, or one part of it, if that is known."""
        if isinstance(seconds, int | float):
            share = self.work(task).share if isinstance(task, PartJob) else 1.0
            self.measured.setdefault(learner(task), []).append(seconds / share)

    def note_progress(self, task: Task, progress: Mapping[str, Any]) -> None:
        """Note what the last report of a running task lets expect, as long as no such fit was measured."""
        work = self.work(task)
        if work.learner not in self.measured and progress.get("step") and work.share:
            self.expected[work.learner] = progress["seconds"] * progress["total"] / progress["step"] / work.share

    def seconds(self, work: Work) -> float:
        """How long a task with this work takes."""
        measured = self.measured.get(work.learner)
        return (median(measured) if measured else self.expected[work.learner]) * work.share or QUICK


def _by_steps(plugin: Plugin) -> float:
    """The seconds of a fit that was never timed, as good as its settings let one guess."""
    try:
        counts_steps = plugin.shortened(1) is not None
    except Exception:  # a plugin that fails here may fit well
        return LONG
    if not counts_steps:
        return QUICK
    steps = getattr(plugin, "steps", None)  # a plugin may have a list of them, or a text
    return A_STEP * steps if isinstance(steps, int | float) and steps > 0 else LONG
