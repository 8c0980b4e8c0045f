from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench.pipeline.context import NoCheckpoint, RunContext, SavedState
from lesionbench.testing.resuming import KILLS, Killed, KillingCheckpoint
from lesionbench.torchkit.resuming import fitted_part, of_fitted_part, packed, restore, save, unpacked
from lesionbench.torchkit.training import balanced_batches, batches, torch_session

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
CONTEXT = RunContext(0, "cpu", "fp32", Path(), lambda step, total, **scalars: None)


def through_files(state):
    arrays, values = packed(state)
    return unpacked({name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(values)))


class Remembering(NoCheckpoint):
    """Always due, and never kills."""

    state: SavedState | None = None

    def load(self):
        return self.state

    def due(self):
        return True

    def save(self, step, arrays, values=None):
        self.state = SavedState(step, {name: array.copy() for name, array in arrays.items()}, values)


def test_plain_values_come_back_as_they_were():
    state = {
        "state": {0: {"step": 3}, 1: {}},  # keys are numbers, as in an optimizer
        "betas": (0.5, 0.999),
        "curve": [0.1, 1 / 3, float("inf")],
        "mixed": [1, 2.0, None, "text", True, [], {}],
    }
    found = through_files(state)
    assert found == state
    assert list(found["state"]) == [0, 1]
    assert isinstance(found["betas"], tuple)


def test_arrays_come_back_with_their_dtype():
    found = through_files([np.arange(6, dtype=np.uint8).reshape(2, 3)])[0]
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(6, 1, 1, 3).to(memory_format=torch.channels_last),
        torch.tensor(3),
        torch.randn(3).bfloat16(),
        torch.randn(4, 3).t(),
        torch.randn(5, requires_grad=True),
        torch.ones(3).expand(2, 3),
        torch.empty(0, dtype=torch.int64),
        torch.tensor([True, False]),
    ],
    ids=lambda tensor: f"{tensor.dtype} {tuple(tensor.shape)}",
)
def test_tensors_come_back_with_their_type_and_memory_layout(tensor):
    found = through_files({"tensor": tensor})["tensor"]
    assert found.dtype == tensor.dtype
    assert torch.equal(found, tensor)
    assert found.stride() == torch.empty_like(tensor).stride()  # of an expanded tensor, a dense one


@pytest.mark.parametrize(
    "make", [lambda: batches(7, 3, 1), lambda: balanced_batches(np.array([0, 0, 0, 1, 1, 2]), 4, 1)]
)
def test_batches_go_on_where_their_state_was_read(make):
    order, other = make(), make()
    for _ in range(5):
        next(order)
    other.load_state_dict(through_files(order.state_dict()))
    for _ in range(9):
        assert torch.equal(next(order), next(other))


def test_the_global_random_state_is_part_of_the_state():
    context = replace(CONTEXT, checkpoint=Remembering())
    with torch_session(1):
        torch.rand(3)
        save(context, 4, {})
        expected = torch.rand(3)
    with torch_session(1):
        assert restore(context, {}) == 4
        assert torch.equal(torch.rand(3), expected)


def test_adam_goes_on_with_the_same_bits_for_weights_in_channels_last():
    def learner():
        torch.manual_seed(0)
        network = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
        return network, torch.optim.Adam(network.parameters(), 0.01, fused=True)

    def learn(network, optimizer, times):
        for step in range(times):
            optimizer.zero_grad()
            network(torch.full((2, 4, 5, 5), 0.1 + step)).square().mean().backward()
            optimizer.step()

    context = replace(CONTEXT, checkpoint=Remembering())
    with torch_session(0):
        network, optimizer = learner()
        learn(network, optimizer, 3)
        save(context, 3, {"network": network, "optimizer": optimizer})
        learn(network, optimizer, 3)
        again, its_optimizer = learner()
        restore(context, {"network": again, "optimizer": its_optimizer})
        learn(again, its_optimizer, 3)
    assert torch.equal(network.weight, again.weight)
    assert its_optimizer.state[again.weight]["exp_avg"].stride() == again.weight.stride()


def test_a_fitted_part_gives_back_what_it_was_given():
    learned = ({"weights": torch.arange(3.0, dtype=torch.bfloat16)}, {"loss": [0.5, 1.5]})

    state, curves = of_fitted_part(fitted_part(learned))

    assert torch.equal(state["weights"], learned[0]["weights"])
    assert curves == learned[1]


def test_the_guides_loop_goes_on_after_every_step():
    loop = next(block for block in GUIDE.split("```") if block.startswith("python\nowned ="))
    network = nn.Linear(2, 1)
    names = {
        "network": network,
        "optimizer": torch.optim.SGD(network.parameters(), 0.1),
        "order": batches(5, 2, 0),
        "context": replace(CONTEXT, checkpoint=KillingCheckpoint()),
        "steps": KILLS + 2,
        "restore": restore,
        "save": save,
    }
    for step in range(1, KILLS + 1):
        with pytest.raises(Killed):
            exec(loop.removeprefix("python\n"), names)
        assert names["step"] == step
    exec(loop.removeprefix("python\n"), names)
    assert names["step"] == KILLS + 2
