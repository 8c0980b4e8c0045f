"""The losses of a training beside those of a loop as a textbook writes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench import RunContext
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan import Dcgan
from lesionbench_dcgan.pair import Pair


@pytest.fixture(autouse=True)
def _float64():
    """Both sides in float64: in float32, a difference in the last bit is 2e-4 of a loss after one step.

    Adam's first step moves every weight by the learning rate in the direction of its gradient's sign, and the sign of
    a gradient that is nearly 0 is a matter of rounding.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def up(before, after, last=False):
    end = [nn.Tanh()] if last else [nn.BatchNorm2d(after), nn.ReLU()]
    return [nn.ConvTranspose2d(before, after, 5, 2, 2, 1), *end]


def kth_networks():
    generator = nn.Sequential(
        nn.Unflatten(1, (100, 1, 1)),
        *(nn.ConvTranspose2d(100, 128, 4, bias=False), nn.BatchNorm2d(128), nn.ReLU()),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(3, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(128, 1, 4, bias=False), nn.Flatten()),
    )
    return generator, discriminator


def frid_adar_networks():
    generator = nn.Sequential(
        *(nn.Linear(100, 16384), nn.Unflatten(1, (1024, 4, 4)), nn.BatchNorm2d(1024), nn.ReLU()),
        *(*up(1024, 512), *up(512, 256), *up(256, 128), *up(128, 3, last=True)),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(3, 64, 5, 2, 2), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(64, 128, 5, 2, 2), nn.BatchNorm2d(128), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(128, 256, 5, 2, 2), nn.BatchNorm2d(256), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(256, 512, 5, 2, 2), nn.BatchNorm2d(512), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(8192, 1)),
    )
    return generator, discriminator


def plain_losses(networks, settings, pair, steps):
    """The losses of both networks in every step, from the weights, the batches and the noise of this pair."""
    for network, start in zip(networks, (pair.generator, pair.discriminator), strict=True):
        network.load_state_dict(dict(zip(network.state_dict(), start.state_dict().values(), strict=True)))
    generator, discriminator = networks
    betas = (settings.beta1, settings.beta2)
    of_generator, of_discriminator = (
        torch.optim.Adam(network.parameters(), settings.learning_rate, betas) for network in networks
    )
    bce, losses = nn.BCEWithLogitsLoss(), []
    one, zero = (torch.full((settings.batch_size, 1), float(value), dtype=torch.float32) for value in (1, 0))
    for _ in range(steps):
        real = pair.real[next(pair.batches)].contiguous()
        fake = generator(pair.architecture.noise(settings.batch_size, pair.random))
        of_discriminator.zero_grad()
        discriminator_loss = bce(discriminator(real).float(), one) + bce(discriminator(fake.detach()).float(), zero)
        discriminator_loss.backward()
        of_discriminator.step()
        of_generator.zero_grad()
        generator_loss = bce(discriminator(fake).float(), one)
        generator_loss.backward()
        of_generator.step()
        losses.append([generator_loss.item(), discriminator_loss.item()])
    return np.array(losses)


@pytest.mark.parametrize(
    ("architecture", "networks", "size", "batch_size", "steps"),
    [("kth", kth_networks, 32, 8, 50), ("frid-adar", frid_adar_networks, 64, 2, 2)],
)
def test_the_losses_are_those_of_a_plain_loop(tmp_path, architecture, networks, size, batch_size, steps):
    settings = Dcgan(architecture=architecture, batch_size=batch_size)
    images = np.random.default_rng(0).integers(0, 256, (20, size, size, 3), dtype=np.uint8)
    context = RunContext(0, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)
    with torch_session(0):
        pairs = [Pair(settings, images, 1, context) for _ in range(2)]
        for pair in pairs:
            pair.real = pair.real.double()
        expected = plain_losses(networks(), settings, pairs[0], steps)
        losses = [pairs[1].step() for _ in range(steps)]
    found = [[loss["generator_loss"].item(), loss["discriminator_loss"].item()] for loss in losses]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 0.01
