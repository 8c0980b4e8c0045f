"""What a task needs of the machine it runs on, from what its plugins declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.experiment.grid import Cell, PartJob
from lesionbench.workers.executors import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lesionbench.experiment.tasks import Task
    from lesionbench.pipeline.context import Device
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Plugins


def needs_of_task(task: Task, plugins: Plugins, device: Device) -> Needs:
    """What one task needs: a pool fits its augmenter, a cell its classifier and what changes images on the fly."""
    if not isinstance(task, Cell):
        return needs_of([plugins.augmenter(task.augmenter)], device)
    on_the_fly = [plugins.augmenter(task.on_the_fly.augmenter)] if task.on_the_fly else []
    return needs_of([plugins.classifier(task.arm.classifier), *on_the_fly], device)


def learner(task: Task) -> str:
    """The plugin whose fit a task runs, as it is written."""
    if isinstance(task, Cell):
        changed = f" with {task.arm.on_the_fly} on the fly" if task.on_the_fly else ""
        return f"{task.arm.classifier}{changed}"
    return task.augmenter


def in_words(task: Task) -> str:
    """What learns in a task, and what part of it: `dcgan, malignant`."""
    return f"{learner(task)}, {task.title}" if isinstance(task, PartJob) else learner(task)


def memory_of_task(task: Task, plugins: Plugins, device: Device, peaks: Mapping[str, float]) -> float:
    """The memory that a task needs (GB): as its plugins declare, else the largest peak of such a fit so far."""
    declared = needs_of_task(task, plugins, device).memory_gb
    return peaks.get(learner(task), 0.0) if declared is None else declared


def note_peak(peaks: dict[str, float], task: Task, peak_mb: object) -> None:
    """Note what memory a fit took, in MiB if it is known, in the largest peaks (GB), by plugin."""
    if isinstance(peak_mb, int | float):
        peaks[learner(task)] = max(peak_mb * 2**20 / 1e9, peaks.get(learner(task), 0.0))


def needs_of(fitted: Iterable[Plugin], device: Device) -> Needs:
    """The most that any of these plugins needs: they are fitted one after the other."""
    every = list(fitted)
    return Needs(
        cores=max((plugin.cores or 1 for plugin in every), default=1),
        memory_gb=max((plugin.memory_gb for plugin in every if plugin.memory_gb is not None), default=None),
        gpus=max((_gpus(plugin, device) for plugin in every), default=0),
    )


def _gpus(plugin: Plugin, device: Device) -> int:
    return int(device == "cuda") if plugin.gpus is None else plugin.gpus
