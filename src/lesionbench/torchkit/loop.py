"""The loop of every training: it takes the steps, reads losses rarely, reports, and goes on where it was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lesionbench.torchkit.resuming import restore, save

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lesionbench.pipeline.context import RunContext
    from lesionbench.torchkit.resuming import Owned

Losses = dict[str, torch.Tensor]  # by name: a scalar of one step, or (steps,)


def run_steps(
    one_step: Callable[[int], Losses],
    steps: int,
    context: RunContext,
    owned: Callable[[], Owned],
    at: Collection[int],
    look: Callable[[int, Losses], Mapping[str, float]],
) -> None:
    """Take `steps` optimizer steps, or what is left of them after the last checkpoint.

    one_step: takes the step of this number, counted from 1, and returns its losses. They stay on the device: whoever
    reads a number makes the CPU wait for a GPU.
    owned: returns everything that `one_step` and `look` change, by name, for checkpoints.
    look: called after each of the steps in `at`, with the losses since the last look, (steps,) each; what it returns is
    reported. In `at`, 0 means before the first step, when there are no losses and nothing is reported.
    """
    waiting: list[Losses] = []

    def everything() -> Owned:
        return {"waiting": waiting, **owned()}

    done = restore(context, everything())
    if 0 in at and not done:
        look(0, {})
    for step in range(done + 1, steps + 1):
        waiting.append(one_step(step))
        if step in at:
            losses = {name: torch.stack([of_step[name] for of_step in waiting]) for name in waiting[0]}
            waiting.clear()
            context.report(step, steps, **look(step, losses))
        if step < steps and context.checkpoint.due():
            save(context, step, everything())


def every(number: int, steps: int) -> set[int]:
    """Each step whose number can be divided by this one, and the last."""
    return {*range(number, steps, number), steps}
