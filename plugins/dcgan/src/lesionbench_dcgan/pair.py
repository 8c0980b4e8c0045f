"""The pair of networks of one class, during training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lesionbench import derive_seed
from lesionbench.pictures import IMAGES_PER_ROW
from lesionbench.torchkit.gan import (
    Players,
    adversarial_step,
    check_weights,
    discriminator_bce,
    generator_bce,
    initialize,
)
from lesionbench.torchkit.tensors import resized, to_images, to_tensor
from lesionbench.torchkit.training import Ahead, batches
from lesionbench_dcgan.networks import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lesionbench import Images, RunContext
    from lesionbench.torchkit.loop import Losses
    from lesionbench.torchkit.resuming import Owned
    from lesionbench.torchkit.sampling import State
    from lesionbench_dcgan import Dcgan


def play(
    players: Players,
    logits: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    noise: torch.Tensor,
    context: RunContext,
) -> Losses:
    """Update the discriminator and then the generator, or stacks of them, on one batch; returns the losses."""
    return adversarial_step(
        players,
        context,
        draw=lambda: players.generator(noise),
        # Two passes: batch norm sees real and synthetic images separately, as in both papers' code.
        discriminator_loss=lambda fake: discriminator_bce(logits(real), logits(fake)),
        generator_loss=lambda fake: generator_bce(logits(fake)),
    )


class Pair:
    """A generator and a discriminator that learn from the images of one class: uint8 (N, H, W, C), N at least 1."""

    def __init__(self, settings: Dcgan, images: Images, seed: int, context: RunContext) -> None:
        self.architecture = ARCHITECTURES[settings.architecture]
        self.seed, self.context = seed, context
        self.random = torch.Generator().manual_seed(seed)  # on the CPU, so that all devices start and draw the same
        self.real = to_tensor(resized(images, self.architecture.size), context.device)  # (N, C, size, size)
        self.batches = batches(len(images), settings.batch_size, derive_seed("dcgan batches", seed), context.device)
        self.noise = Ahead(lambda steps: self._draw_noise(steps, settings.batch_size), context.device)
        channels = images.shape[3]
        self.generator = self.architecture.generator(channels)
        self.discriminator = self.architecture.discriminator(channels)
        for network in (self.generator, self.discriminator):
            initialize(network, self.random)
        betas = (settings.beta1, settings.beta2)
        self.players = Players.with_adam(
            self.generator, self.discriminator, settings.learning_rate, betas, context.device
        )

    def _draw_noise(self, steps: int, count: int) -> torch.Tensor:
        """The noise of the next steps, (steps, count, 100)."""
        return torch.stack([self.architecture.noise(count, self.random) for _ in range(steps)])

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next real images, (B, C, size, size), and noise, (B, 100)."""
        return self.real[next(self.batches)], next(self.noise)

    def step(self) -> Losses:
        """Update the discriminator and then the generator, on one batch; returns the losses."""
        return play(self.players, self.discriminator.logits, *self.next_batch(), self.context)

    def sources(self) -> Owned:
        """What batches and noise come from."""
        return {"random": self.random, "noise": self.noise, "batches": self.batches}

    def owned(self) -> Owned:
        """Everything that a step changes."""
        return {"players": self.players, **self.sources()}

    @torch.no_grad()
    def draw(self, noise: torch.Tensor) -> Images:
        """Images from this noise and the generator's current weights: uint8 (N, size, size, C)."""
        self.generator.eval()  # as in the finished sampler; also leaves batch norm's running statistics alone
        images = to_images(self.generator(noise.to(self.context.device)))
        self.generator.train()
        return images

    def sketch(self) -> Images:
        """Images from the same noise at every call: uint8 (IMAGES_PER_ROW, size, size, C)."""
        random = torch.Generator().manual_seed(derive_seed("dcgan sketch", self.seed))
        return self.draw(self.architecture.noise(IMAGES_PER_ROW, random))

    def weights(self, steps: int, whose: str = "") -> State:
        """The generator's weights on the CPU after `steps` steps; raises TrainingDiverged if one is not finite."""
        check_weights(self.generator, steps, whose)
        return {name: tensor.cpu() for name, tensor in self.generator.state_dict().items()}
