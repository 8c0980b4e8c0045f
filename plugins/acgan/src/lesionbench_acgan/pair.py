"""The generator and the discriminator during training, for all classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lesionbench.torchkit.gan import (
    Players,
    adversarial_step,
    check_weights,
    discriminator_bce,
    generator_bce,
    initialize,
)
from lesionbench.torchkit.tensors import resized, to_images, to_tensor
from lesionbench.torchkit.training import Ahead
from lesionbench_acgan.networks import NOISE, uniform_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from lesionbench import Images, Labels, RunContext
    from lesionbench.torchkit.loop import Losses
    from lesionbench.torchkit.resuming import Owned
    from lesionbench.torchkit.sampling import State
    from lesionbench.torchkit.training import Batches
    from lesionbench_acgan import AcganSettings
    from lesionbench_acgan.networks import Blueprint

Batch = tuple[torch.Tensor, torch.Tensor]  # float32 (B, C, size, size) in [-1, 1] and int64 (B,), on the device


CLASS_LOSSES = ("class_loss_real", "class_loss_synthetic")

Judgement = tuple[torch.Tensor, torch.Tensor]  # a discriminator's output: logits (B,) and class logits (B, K)


def discriminator_losses(real: Judgement, fake: Judgement, labels: torch.Tensor) -> Losses:
    """The scalars whose sum the discriminator minimizes: -Ls, and -Lc of the real and of the synthetic batch.

    labels: int64 (B,), of either batch (Odena et al. 2016, section 3).
    """
    class_losses = [cross_entropy(logits.float(), labels) for _, logits in (real, fake)]
    return {"source_loss": discriminator_bce(real[0], fake[0])} | dict(zip(CLASS_LOSSES, class_losses, strict=True))


def generator_loss(fake: Judgement, labels: torch.Tensor) -> torch.Tensor:
    """The scalar that the generator minimizes: -Lc plus a non-saturating form of Ls (Odena et al. 2016, section 3)."""
    return generator_bce(fake[0]) + cross_entropy(fake[1].float(), labels)


@dataclass(frozen=True)
class Real:
    """Endless batches of real images: `take` makes a batch of the positions that `order` gives next."""

    order: Batches
    take: Callable[[torch.Tensor], Batch]

    @classmethod
    def unchanged(cls, order: Batches, images: Images, labels: Labels, size: int, device: str) -> Real:
        """Batches of these images at size x size, converted once and kept on the device, where `order` is too."""
        pixels = to_tensor(resized(images, size), device)  # (N, C, size, size)
        targets = torch.tensor(labels, device=device)
        return cls(order, lambda chosen: (pixels[chosen], targets[chosen]))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        return self.take(next(self.order))


class Pair:
    """The two networks and the real batches that they learn from."""

    def __init__(self, settings: AcganSettings, plan: Blueprint, real: Real, seed: int, context: RunContext) -> None:
        self.context = context
        self.real = real
        self.random = torch.Generator().manual_seed(seed)  # on the CPU, so that all devices start and draw the same
        self.noise = Ahead(lambda steps: self._draw_noise(steps, settings.batch_size), context.device)
        self.generator, self.discriminator = plan.generator(), plan.discriminator()
        for network in (self.generator, self.discriminator):
            initialize(network, self.random)
        if isinstance(self.generator.condition, nn.Embedding):
            nn.init.normal_(self.generator.condition.weight, generator=self.random)
        betas = (settings.beta1, settings.beta2)
        self.players = Players.with_adam(
            self.generator, self.discriminator, settings.learning_rate, betas, context.device
        )

    def _draw_noise(self, steps: int, count: int) -> torch.Tensor:
        """The noise of the next steps, (steps, count, 100)."""
        return uniform_noise(steps * count, self.random).view(steps, count, NOISE)

    def step(self) -> Losses:
        """One update of the discriminator, then one of the generator, on one batch.

        The synthetic batch has the labels of the real one: with other proportions of the classes, the class of an image
        would help the discriminator to tell whether it is synthetic.
        """
        (real, labels), noise = next(self.real), next(self.noise)  # noise: (B, 100)
        class_losses: Losses = {}

        def judge(fake: torch.Tensor) -> torch.Tensor:
            # Two passes: batch norm sees real and synthetic images separately.
            losses = discriminator_losses(self.discriminator(real), self.discriminator(fake), labels)
            class_losses.update({name: losses[name].detach() for name in CLASS_LOSSES})
            return torch.stack(list(losses.values())).sum()

        return class_losses | adversarial_step(
            self.players,
            self.context,
            draw=lambda: self.generator(noise, labels),
            discriminator_loss=judge,
            generator_loss=lambda fake: generator_loss(self.discriminator(fake), labels),
        )

    def owned(self) -> Owned:
        """Everything that a step changes."""
        return {"players": self.players, "random": self.random, "noise": self.noise, "order": self.real.order}

    @torch.no_grad()
    def draw(self, noise: torch.Tensor, label: int) -> Images:
        """Images of one class from this noise and the generator's current weights: uint8 (N, size, size, C)."""
        self.generator.eval()  # as in the finished sampler; also leaves batch norm's running statistics alone
        labels = torch.full((len(noise),), label, device=self.context.device)
        images = to_images(self.generator(noise.to(self.context.device), labels))
        self.generator.train()
        return images

    def weights(self, steps: int) -> State:
        """The generator's weights on the CPU after `steps` steps; raises TrainingDiverged if one is not finite."""
        check_weights(self.generator, steps)
        return {name: tensor.cpu() for name, tensor in self.generator.state_dict().items()}
