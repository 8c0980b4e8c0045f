"""The generator and the discriminator of all classes, in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lesionbench.torchkit.gan import (
    Losses,
    Players,
    adversarial_step,
    check_weights,
    discriminator_bce,
    generator_bce,
    initialize,
)
from lesionbench.torchkit.tensors import to_images
from lesionbench_acgan.networks import uniform_noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench import Images, RunContext
    from lesionbench.torchkit.sampling import State
    from lesionbench_acgan import AcganSettings
    from lesionbench_acgan.networks import Blueprint

Batch = tuple[torch.Tensor, torch.Tensor]  # float32 (B, C, size, size) in [-1, 1] and int64 (B,), on the device


CLASS_LOSSES = ("class_loss_real", "class_loss_synthetic")

Judgement = tuple[torch.Tensor, torch.Tensor]  # what a discriminator says: logits (B,) and class logits (B, K)


def discriminator_losses(real: Judgement, fake: Judgement, labels: torch.Tensor) -> Losses:
    """The parts, each a scalar, whose sum the discriminator minimises: -Ls and, real and synthetic, -Lc.

    labels: int64 (B,), of both batches (Odena et al. 2016, section 3).
    """
    of_classes = [cross_entropy(logits.float(), labels) for _, logits in (real, fake)]
    return {"source_loss": discriminator_bce(real[0], fake[0])} | dict(zip(CLASS_LOSSES, of_classes, strict=True))


def generator_loss(fake: Judgement, labels: torch.Tensor) -> torch.Tensor:
    """What the generator minimises, a scalar: -Lc, and Ls in its non-saturating form (Odena et al. 2016, section 3)."""
    return generator_bce(fake[0]) + cross_entropy(fake[1].float(), labels)


class Pair:
    """The two networks, and the real batches that they learn from."""

    def __init__(
        self, settings: AcganSettings, plan: Blueprint, real: Iterator[Batch], seed: int, context: RunContext
    ) -> None:
        self.context = context
        self.real = real
        self.random = torch.Generator().manual_seed(seed)  # on the CPU, so that every device starts and draws alike
        self.generator, self.discriminator = plan.generator(), plan.discriminator()
        for network in (self.generator, self.discriminator):
            initialize(network, self.random)
        if isinstance(self.generator.condition, nn.Embedding):
            nn.init.normal_(self.generator.condition.weight, generator=self.random)
        betas = (settings.beta1, settings.beta2)
        self.players = Players.with_adam(
            self.generator, self.discriminator, settings.learning_rate, betas, context.device
        )

    def step(self) -> Losses:
        """One update of the discriminator, then one of the generator, on one batch.

        The synthetic batch has the labels of the real one: were the classes mixed in another proportion, an image's
        class alone would tell the discriminator whether it is synthetic.
        """
        real, labels = next(self.real)
        noise = uniform_noise(len(labels), self.random).to(self.context.device)  # (B, 100)
        of_classes: Losses = {}

        def judge(fake: torch.Tensor) -> torch.Tensor:
            # Two passes: batch norm sees real and synthetic images apart.
            losses = discriminator_losses(self.discriminator(real), self.discriminator(fake), labels)
            of_classes.update({name: losses[name].detach() for name in CLASS_LOSSES})
            return torch.stack(list(losses.values())).sum()

        return of_classes | adversarial_step(
            self.players,
            self.context,
            draw=lambda: self.generator(noise, labels),
            discriminator_loss=judge,
            generator_loss=lambda fake: generator_loss(self.discriminator(fake), labels),
        )

    @torch.no_grad()
    def draw(self, noise: torch.Tensor, label: int) -> Images:
        """The images of this class that the generator makes of this noise as it stands: uint8 (N, size, size, C)."""
        self.generator.eval()  # as it will draw in the end, and without a trace in batch norm's running statistics
        labels = torch.full((len(noise),), label, device=self.context.device)
        images = to_images(self.generator(noise.to(self.context.device), labels))
        self.generator.train()
        return images

    def weights(self, steps: int) -> State:
        """The generator's weights, on the CPU; raises TrainingDiverged when one is not finite after these steps."""
        check_weights(self.generator, steps)
        return {name: tensor.cpu() for name, tensor in self.generator.state_dict().items()}
