from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lesionbench import RunContext
from lesionbench.errors import TrainingDiverged
from lesionbench.torchkit.gan import (
    REPORT_EVERY,
    Players,
    adversarial_step,
    check_weights,
    discriminator_bce,
    generator_bce,
    initialize,
    picture_steps,
    train,
)
from lesionbench.torchkit.training import torch_session

CONTEXT = RunContext(0, "cpu", "fp32", Path(), lambda step, total, **scalars: None)


@pytest.fixture(autouse=True)
def _session():
    with torch_session(0):
        yield


def players() -> Players:
    generator, discriminator = nn.Conv2d(2, 1, 1), nn.Conv2d(1, 1, 4)
    return Players.with_adam(generator, discriminator, learning_rate=0.1, betas=(0.5, 0.999))


def play(pair: Players, context: RunContext = CONTEXT, seen: dict | None = None):
    seen = {} if seen is None else seen
    noise, real = torch.randn(3, 2, 4, 4), torch.randn(3, 1, 4, 4)

    def logits(images):
        return pair.discriminator(images).flatten()

    def discriminator_loss(fake):
        seen["fake_needs_gradient"] = fake.requires_grad
        return discriminator_bce(logits(real), logits(fake))

    def generator_loss(fake):
        seen["discriminator_frozen"] = not any(weight.requires_grad for weight in pair.discriminator.parameters())
        return generator_bce(logits(fake))

    return adversarial_step(pair, context, lambda: pair.generator(noise), discriminator_loss, generator_loss)


def test_weights_are_drawn_from_the_papers_normal_distribution():
    network = nn.Sequential(
        nn.Conv2d(64, 64, 5), nn.BatchNorm2d(4096), nn.Linear(100, 100), nn.ConvTranspose2d(8, 64, 5)
    )
    initialize(network, torch.Generator().manual_seed(0))
    network.requires_grad_(False)
    for layer, mean in zip(network, (0.0, 1.0, 0.0, 0.0), strict=True):
        assert float(layer.weight.mean()) == pytest.approx(mean, abs=0.002)
        assert float(layer.weight.std()) == pytest.approx(0.02, rel=0.05)
        assert not layer.bias.any()


def test_weights_depend_on_the_generator_alone():
    one, other = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
    initialize(one, torch.Generator().manual_seed(5))
    initialize(other, torch.Generator().manual_seed(5))
    assert torch.equal(one.weight, other.weight)


def test_an_undecided_discriminator_costs_twice_and_a_generator_once_the_logarithm_of_two():
    logits = torch.zeros(4)
    assert float(discriminator_bce(logits, logits)) == pytest.approx(2 * 0.693147, abs=1e-5)
    assert float(generator_bce(logits)) == pytest.approx(0.693147, abs=1e-5)


def test_the_losses_are_binary_cross_entropy_of_the_sigmoid():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    bce = nn.BCELoss()
    expected = bce(real.sigmoid(), torch.ones(2)) + bce(fake.sigmoid(), torch.zeros(2))
    assert float(discriminator_bce(real, fake)) == pytest.approx(float(expected))
    assert float(generator_bce(fake)) == pytest.approx(float(bce(fake.sigmoid(), torch.ones(2))))


def test_the_generators_gradient_does_not_vanish_when_the_discriminator_is_sure():
    fake = torch.tensor([-200.0], requires_grad=True)
    generator_bce(fake).backward()
    assert float(fake.grad) == pytest.approx(-1.0)


def test_one_step_moves_both_networks():
    pair = players()
    before = pair.generator.weight.clone(), pair.discriminator.weight.clone()
    losses = play(pair)
    assert {"generator_loss", "discriminator_loss"} == set(losses)
    assert not torch.equal(before[0], pair.generator.weight)
    assert not torch.equal(before[1], pair.discriminator.weight)


def test_the_discriminators_step_leaves_the_generator_alone_and_the_other_way_round():
    pair, seen = players(), {}
    play(pair, seen=seen)
    assert seen == {"fake_needs_gradient": False, "discriminator_frozen": True}
    assert all(weight.requires_grad for weight in pair.discriminator.parameters())


def test_the_generator_meets_the_discriminators_new_weights():
    pair, met = players(), []
    old = pair.discriminator.weight.clone()

    def loss(fake):
        met.append(pair.discriminator.weight.clone())
        return generator_bce(pair.discriminator(fake).flatten())

    noise = torch.randn(3, 2, 4, 4)
    adversarial_step(pair, CONTEXT, lambda: pair.generator(noise), lambda fake: pair.discriminator(fake).mean(), loss)
    assert not torch.equal(old, met[0])


def test_bf16_trains_with_float32_losses_and_weights():
    pair = players()
    losses = play(pair, RunContext(0, "cpu", "bf16", Path(), CONTEXT.report))
    assert {torch.float32} == {loss.dtype for loss in losses.values()}
    assert torch.float32 == pair.generator.weight.dtype


def reporting(report) -> RunContext:
    return RunContext(0, "cpu", "fp32", Path(), report)


def test_training_plays_every_step_and_keeps_every_loss():
    numbers = iter(range(100))
    history = train(lambda: {"loss": torch.tensor(float(next(numbers)))}, 2 * REPORT_EVERY + 3, CONTEXT, dict)
    assert {"loss": [float(step) for step in range(2 * REPORT_EVERY + 3)]} == history.curves


def test_training_reports_now_and_then_and_at_the_last_step():
    lines = []
    train(
        lambda: {"loss": torch.tensor(1.0)},
        REPORT_EVERY + 2,
        reporting(lambda step, total, **losses: lines.append((step, total, losses))),
        dict,
    )
    assert [
        (REPORT_EVERY, REPORT_EVERY + 2, {"loss": 1.0}),
        (REPORT_EVERY + 2, REPORT_EVERY + 2, {"loss": 1.0}),
    ] == lines


def test_training_looks_at_the_steps_it_is_asked_to():
    played = []
    history = train(
        lambda: played.append(1) or {"loss": torch.tensor(1.0)},
        5,
        CONTEXT,
        dict,
        at=[0, 3, 5],
        look=lambda step: (step, len(played)),
    )
    assert {0: (0, 0), 3: (3, 3), 5: (5, 5)} == history.looks


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training_and_names_its_step(value):
    losses = iter([1.0, value] + [1.0] * 1000)
    with pytest.raises(TrainingDiverged, match=r"'loss'.* at step 2; try a smaller learning_rate"):
        train(lambda: {"loss": torch.tensor(next(losses))}, 1000, CONTEXT, dict)
    assert 1000 + 2 - REPORT_EVERY == len(list(losses))


def test_weights_that_are_not_finite_are_refused():
    network = nn.Linear(2, 2)
    check_weights(network, 7)
    with torch.no_grad():
        network.bias[0] = float("nan")
    with pytest.raises(TrainingDiverged, match="'bias' is not after step 7"):
        check_weights(network, 7)
    with pytest.raises(TrainingDiverged, match="'bias' of benign is not after step 7"):
        check_weights(network, 7, " of benign")


def test_moments_run_from_before_the_first_step_to_the_last_and_are_denser_at_first():
    assert [0, 20, 82, 184, 327, 510, 735, 1000] == picture_steps(1000)
    assert [0, 1] == picture_steps(1)
    assert [0, 1, 2, 3] == picture_steps(3)
