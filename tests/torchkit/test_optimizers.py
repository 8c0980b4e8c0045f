from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from lesionbench.torchkit.optimizers import Adam, Sgd
from lesionbench.torchkit.training import torch_session

RATE = 0.01
OURS_AND_TORCHS = {
    "adam": (partial(Adam, learning_rate=RATE), partial(torch.optim.Adam, lr=RATE)),
    "adam of GANs": (
        partial(Adam, learning_rate=RATE, betas=(0.0, 0.99), eps=1e-4),
        partial(torch.optim.Adam, lr=RATE, betas=(0.0, 0.99), eps=1e-4),
    ),
    "sgd": (partial(Sgd, learning_rate=RATE, momentum=0), partial(torch.optim.SGD, lr=RATE)),
    "nesterov": (
        partial(Sgd, learning_rate=RATE, momentum=0.9),
        partial(torch.optim.SGD, lr=RATE, momentum=0.9, nesterov=True),
    ),
}


class Learner:
    """A small network and its optimizer; every third step skips the last layer."""

    def __init__(self, make_optimizer, memory_format=torch.contiguous_format):
        torch.manual_seed(3)
        convolution = nn.Conv2d(4, 8, 3, bias=False)
        self.network = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
        self.network.to(memory_format=memory_format)
        self.optimizer = make_optimizer(self.network.parameters())
        self.images = torch.randn(6, 4, 5, 5).contiguous(memory_format=memory_format)
        self.steps = 0

    def learn(self, steps):
        for _ in range(steps):
            self.network[-1].requires_grad_(self.steps % 3 != 2)
            self.optimizer.zero_grad()
            (self.network(self.images) - 1).square().mean().backward()
            self.optimizer.step()
            self.steps += 1
        return self

    @property
    def weights(self):
        return [weight.detach() for weight in self.network.parameters()]


def differing(one, other):
    return [position for position, pair in enumerate(zip(one, other, strict=True)) if not torch.equal(*pair)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", OURS_AND_TORCHS)
def test_the_weights_are_those_of_torch_to_the_last_bit(name, memory_format):
    ours, torchs = OURS_AND_TORCHS[name]
    with torch_session(0):
        one = Learner(ours, memory_format)
        first = [weight.clone() for weight in one.weights]
        one.learn(50)
        other = Learner(partial(torchs, fused=True), memory_format).learn(50)
    assert [] == differing(one.weights, other.weights)
    assert len(first) == len(differing(first, one.weights))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", OURS_AND_TORCHS)
def test_a_new_optimizer_goes_on_from_a_saved_state(name, memory_format):
    ours, _ = OURS_AND_TORCHS[name]
    with torch_session(0):
        one = Learner(ours, memory_format).learn(4)
        again = Learner(ours, memory_format)
        again.steps = one.steps
        again.network.load_state_dict(one.network.state_dict())
        again.optimizer.load_state_dict(one.optimizer.state_dict())
        again.learn(3)  # first, so that a state that is shared with the old one shows
        one.learn(3)
    assert [] == differing(one.weights, again.weights)


@pytest.mark.parametrize("name", OURS_AND_TORCHS)
def test_a_step_without_any_gradient_changes_nothing(name):
    weight = nn.Parameter(torch.ones(3))
    OURS_AND_TORCHS[name][0]([weight]).step()
    assert [1, 1, 1] == weight.tolist()


@pytest.mark.parametrize("name", OURS_AND_TORCHS)
def test_a_gradient_that_was_set_by_hand_may_have_another_memory_format(name):
    ours, torchs = OURS_AND_TORCHS[name]
    start, gradient = torch.randn(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
    weights = [nn.Parameter(start.clone(memory_format=torch.channels_last)) for _ in range(2)]
    for weight, optimizer in zip(weights, (ours(weights[:1]), torchs(weights[1:], foreach=False)), strict=True):
        weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(*(weight.detach() for weight in weights), rtol=1e-5, atol=1e-6)
