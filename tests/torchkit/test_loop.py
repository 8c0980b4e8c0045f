"""The loop that every training runs in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from lesionbench.pipeline.context import RunContext
from lesionbench.testing.resuming import killed_and_resumed
from lesionbench.torchkit.loop import every, run_steps

CONTEXT = RunContext(0, "cpu", "fp32", Path(), lambda step, total, **scalars: None)


def seen_by_looks(context, steps=7, at=(0, 3, 7)):
    """What each look was given, by step."""
    seen: dict[int, list[float]] = {}

    class Kept:
        state_dict = seen.copy
        load_state_dict = seen.update

    def look(step, losses):
        seen[step] = losses["loss"].tolist() if losses else []
        return {"last": float(step)}

    run_steps(lambda step: {"loss": torch.tensor(float(step))}, steps, context, lambda: {"seen": Kept()}, at, look)
    return seen


def test_a_look_gets_the_losses_since_the_last_one_and_none_before_the_first_step():
    assert seen_by_looks(CONTEXT) == {0: [], 3: [1.0, 2.0, 3.0], 7: [4.0, 5.0, 6.0, 7.0]}


def test_what_a_look_returns_is_reported_but_not_before_the_first_step():
    reported = []
    seen_by_looks(replace(CONTEXT, report=lambda *given, **scalars: reported.append((*given, scalars))))
    assert reported == [(3, 7, {"last": 3.0}), (7, 7, {"last": 7.0})]


def test_a_training_that_is_killed_between_two_looks_loses_no_loss():
    assert killed_and_resumed(seen_by_looks, CONTEXT) == seen_by_looks(CONTEXT)


def test_every_third_step_and_the_last():
    assert every(3, 7) == {3, 6, 7}
    assert every(10, 7) == {7}
