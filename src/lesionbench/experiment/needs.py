"""What a task needs of the machine it runs on, from what its plugins declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.experiment.grid import Cell
from lesionbench.workers.executors import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable

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
