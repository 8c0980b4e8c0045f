from __future__ import annotations

import numpy as np
import pytest
import torch

from lesionbench import RunContext, TrainingDiverged
from lesionbench.torchkit.training import balanced_batches, torch_session
from lesionbench_progressive_gan import ProgressiveGan
from lesionbench_progressive_gan.layers import downsampled, upsampled
from lesionbench_progressive_gan.networks import Blueprint
from lesionbench_progressive_gan.pair import Pair, follow, ramped
from lesionbench_progressive_gan.schedule import Moment

# Two steps a phase: 4 px, 8 px fading and stable, 16 px fading and stable.
QUICK = {"steps": 10, "batch_size": 4, "size": 16, "width": 4, "base": 32, "latent": 8}
EQUAL = {"stable_images": 1, "fade_images": 1, "final_images": 1}


@pytest.fixture
def pair(tmp_path):
    def made(precision="fp32", **settings):
        context = RunContext(0, "cpu", precision, tmp_path, lambda step, total, **scalars: None)
        images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
        whole = ProgressiveGan(**(QUICK | EQUAL | settings))
        plan = Blueprint(whole.size, 3, 2, whole.latent, whole.width, whole.base)
        with torch_session(0):
            return Pair(whole, plan, images, np.array([0, 0, 0, 0, 1, 1]), 0, context)

    return made


def weights(network):
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def test_the_average_after_two_updates_is_worked_out_by_hand():
    average, network = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    average.weight.data.fill_(1.0)
    for value in (2.0, 3.0):
        network.weight.data.fill_(value)
        follow(average, network, 0.9)
    # 0.9 * 1 + 0.1 * 2 = 1.1, then 0.9 * 1.1 + 0.1 * 3
    assert float(average.weight.detach()) == pytest.approx(1.29)


@pytest.mark.parametrize(("step", "decay"), [(1, 0.25), (3, 0.5), (297, 0.99), (2997, 0.999), (9000, 0.999)])
def test_the_average_looks_back_over_a_third_of_a_levels_steps_at_most_a_thousand(step, decay):
    assert decay == pytest.approx(ramped(0.999, step))


def test_the_average_follows_the_generator_at_every_step_and_starts_anew_at_every_level(pair):
    gan = pair(ema=0.3)
    for decay in (0.25, 0.3, 0.25, 0.3, 0.3, 0.3, 0.25):
        before = weights(gan.average)
        gan.step()
        now = weights(gan.generator)
        for name, mean in weights(gan.average).items():
            torch.testing.assert_close(mean, decay * before[name] + (1 - decay) * now[name])


def test_layers_above_the_level_are_not_trained(pair):
    gan = pair()
    start = weights(gan.generator) | {f"d.{name}": value for name, value in weights(gan.discriminator).items()}
    gan.step()
    gan.step()
    now = weights(gan.generator) | {f"d.{name}": value for name, value in weights(gan.discriminator).items()}
    changed = {name for name in start if not torch.equal(start[name], now[name])}
    assert {name.rpartition(".")[0] for name in changed} == {
        "first", "second", "to_colour.0", "d.from_colour.0", "d.mixing", "d.gathering", "d.scoring",
    }  # fmt: skip


def test_adams_moments_are_forgotten_at_every_new_level_and_only_there(pair):
    gan, players = pair(), []
    for _ in range(10):
        gan.step()
        players.append(gan.players)
    news = [step for step in range(2, 11) if players[step - 1] is not players[step - 2]]
    assert [3, 7] == news
    part = players[2].generator_optimizer.parts[0]
    assert gan.generator.first.bias is part.weights[0]
    assert 4 == int(part.state["steps"][0])
    assert (1e-3, (0.0, 0.99), 1e-8) == (part.learning_rate, part.betas, part.eps)


def test_real_images_are_averaged_down_to_the_level_and_cross_faded(pair):
    gan, chosen = pair(), torch.tensor([1, 4])
    whole = gan.pixels[chosen].permute(0, 3, 1, 2).float() / 127.5 - 1
    gan.moment = Moment(1, 1.0)
    torch.testing.assert_close(downsampled(whole, 2), gan.real(chosen))
    gan.moment = Moment(2, 0.0)
    torch.testing.assert_close(upsampled(downsampled(whole, 2)), gan.real(chosen))
    gan.moment = Moment(2, 0.25)
    torch.testing.assert_close(0.75 * upsampled(downsampled(whole, 2)) + 0.25 * whole, gan.real(chosen))
    gan.moment = Moment(2, 1.0)
    torch.testing.assert_close(whole, gan.real(chosen))


def test_the_penalty_is_taken_every_so_many_steps_and_so_many_times_as_strong(pair, monkeypatch):
    gan, calls = pair(penalty_every=3), []

    def penalty(self, real, fake, along):
        calls.append(self.steps)
        return torch.tensor(1000.0)

    monkeypatch.setattr(Pair, "_penalty", penalty)
    losses = [float(gan.step()["discriminator_loss"]) for _ in range(7)]
    assert [1, 4, 7] == calls
    assert [1, 4, 7] == [step for step, loss in enumerate(losses, 1) if loss > 2000]
    assert all(2900 < losses[step - 1] < 3100 for step in calls)


def test_a_step_reports_the_newest_penalty(pair):
    gan = pair(penalty_every=2)
    first, second, third = (float(gan.step()["gradient_penalty"]) for _ in range(3))
    assert first == second != third


def test_bf16_keeps_weights_penalty_and_losses_in_float32(pair):
    gan = pair("bf16")
    for _ in range(10):
        losses = gan.step()
    assert {torch.float32} == {tensor.dtype for tensor in losses.values()}
    assert {torch.float32} == {tensor.dtype for tensor in gan.weights().values()}


def test_every_class_stands_equally_often_in_the_batches():
    labels = np.array([0] * 7 + [1] + [2] * 2)
    batches = balanced_batches(labels, 4, 0)
    drawn = torch.cat([next(batches) for _ in range(21)])
    assert [28, 28, 28] == np.bincount(labels[drawn]).tolist()
    assert [4] * 7 + [28] + [14] * 2 == np.bincount(drawn).tolist()


def test_weights_that_are_not_finite_are_noticed_at_the_end(pair):
    gan = pair()
    gan.step()
    gan.average.first.weight.data[0, 0] = float("nan")
    with pytest.raises(TrainingDiverged, match=r"'first\.weight' is not after step 1"):
        gan.weights()
