"""The losses of a training beside those of a loop as a textbook writes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench import LabelledImages, RunContext
from lesionbench.torchkit.training import torch_session
from lesionbench_acgan import Acgan
from lesionbench_acgan.fit import Blueprint, Pair, _real
from lesionbench_acgan.networks import uniform_noise
from lesionbench_acgan.pair import Real


@pytest.fixture(autouse=True)
def _float64():
    """Both sides in float64: in float32, a difference in the last bit is 2e-4 of a loss after one step.

    Adam's first step moves every weight by the learning rate in the direction of its gradient's sign, and the sign of
    a gradient that is nearly 0 is a matter of rounding.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


STEPS = 50
SETTINGS = Acgan(size=16, width=4, batch_size=8)
REPORTED = ("generator_loss", "discriminator_loss", "class_loss_real", "class_loss_synthetic")


class PlainGenerator(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.condition = nn.Embedding(classes, 10)
        self.main = nn.Sequential(
            *(nn.Linear(110, 16 * 4 * 4), nn.Unflatten(1, (16, 4, 4)), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.ConvTranspose2d(16, 8, 5, 2, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.ConvTranspose2d(8, 3, 5, 2, 2, 1), nn.Tanh()),
        )

    def forward(self, noise, labels):
        return self.main(torch.cat([noise, self.condition(labels)], dim=1))


def plain_discriminator(classes):
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 5, 2, 2), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(4, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(8 * 4 * 4, 1 + classes)),
    )


def plain_losses(pair, classes):
    """The losses of every step, from the weights, the batches and the noise of this pair."""
    generator, discriminator = PlainGenerator(classes), plain_discriminator(classes)
    for network, start in ((generator, pair.generator), (discriminator, pair.discriminator)):
        network.load_state_dict(dict(zip(network.state_dict(), start.state_dict().values(), strict=True)))
    of_generator, of_discriminator = (
        torch.optim.Adam(network.parameters(), SETTINGS.learning_rate, (SETTINGS.beta1, SETTINGS.beta2))
        for network in (generator, discriminator)
    )
    bce, cross_entropy, losses = nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss(), []
    one, zero = torch.ones(SETTINGS.batch_size).float(), torch.zeros(SETTINGS.batch_size).float()
    for _ in range(STEPS):
        real, labels = next(pair.real)
        fake = generator(uniform_noise(len(labels), pair.random), labels)
        of_discriminator.zero_grad()
        judged, of_fake = discriminator(real.contiguous()).float(), discriminator(fake.detach()).float()
        class_losses = [cross_entropy(scores[:, 1:], labels) for scores in (judged, of_fake)]
        discriminator_loss = bce(judged[:, 0], one) + bce(of_fake[:, 0], zero) + sum(class_losses)
        discriminator_loss.backward()
        of_discriminator.step()
        of_generator.zero_grad()
        of_fake = discriminator(fake).float()
        generator_loss = bce(of_fake[:, 0], one) + cross_entropy(of_fake[:, 1:], labels)
        generator_loss.backward()
        of_generator.step()
        losses.append([loss.item() for loss in (generator_loss, discriminator_loss, *class_losses)])
    return np.array(losses)


def test_the_losses_are_those_of_a_plain_loop(tmp_path):
    numbers, random = np.arange(20), np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    images = LabelledImages(pixels, numbers % 2, numbers, numbers.astype(str), ("benign", "malignant"))
    context = RunContext(0, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)

    def pair():
        real = _real(SETTINGS, images, 1, context)
        exact = Real(real.order, lambda chosen: (real.take(chosen)[0].double(), real.take(chosen)[1]))
        return Pair(SETTINGS, Blueprint.of(SETTINGS, 3, 2), exact, 1, context)

    with torch_session(0):
        expected, ours = plain_losses(pair(), 2), pair()
        losses = [ours.step() for _ in range(STEPS)]
    np.testing.assert_allclose([[loss[name].item() for name in REPORTED] for loss in losses], expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 0.01
