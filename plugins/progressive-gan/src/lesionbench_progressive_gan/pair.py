"""The two networks during training, while they grow."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from lesionbench.torchkit.gan import Players, adversarial_step, check_weights
from lesionbench.torchkit.tensors import resized, to_images
from lesionbench.torchkit.training import Ahead, balanced_batches
from lesionbench_progressive_gan.codes import codes, latents
from lesionbench_progressive_gan.layers import EqualizedAdam, downsampled, draw_weights, upsampled
from lesionbench_progressive_gan.losses import class_loss, critic_loss, gradient_penalty
from lesionbench_progressive_gan.networks import Discriminator, Generator
from lesionbench_progressive_gan.schedule import Moment, Schedule, resolution

if TYPE_CHECKING:
    from lesionbench import Images, Labels, RunContext
    from lesionbench.torchkit.loop import Losses
    from lesionbench.torchkit.resuming import Owned
    from lesionbench.torchkit.sampling import State
    from lesionbench_progressive_gan import ProgressiveGan
    from lesionbench_progressive_gan.networks import Blueprint


class Pair:
    """A generator and a discriminator that learn from images uint8 (N, H, W, C) with labels (N,), N at least 1."""

    def __init__(
        self, settings: ProgressiveGan, plan: Blueprint, images: Images, labels: Labels, seed: int, context: RunContext
    ) -> None:
        self.settings, self.plan, self.context = settings, plan, context
        self.schedule = Schedule.of(settings)
        self.random = torch.Generator().manual_seed(seed)  # on the CPU, so that all devices start and draw the same
        self.batches = balanced_batches(labels, settings.batch_size, seed, context.device)
        self.inputs = Ahead(self._draw_inputs, context.device)
        self.pixels = torch.tensor(resized(images, plan.size), device=context.device)  # uint8 (N, size, size, C)
        self.labels = torch.tensor(labels, device=context.device)
        self.generator, self.discriminator = Generator(plan), Discriminator(plan)
        for network in (self.generator, self.discriminator):
            draw_weights(network, self.random)
            network.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs
        self.steps = 0
        self.moment = Moment(0, 1.0)
        self.penalty = torch.zeros((), device=context.device)  # the latest, for the report
        self._start_level()
        self.average = deepcopy(self.generator).requires_grad_(False)  # draws the images of the finished sampler

    def _start_level(self) -> None:
        """Make new optimizers: Adam's moments are reset at every new level."""
        networks = (self.generator, self.discriminator)
        rate, betas = self.settings.learning_rate, (self.settings.beta1, self.settings.beta2)
        self.players = Players(*networks, *(EqualizedAdam(network, rate, betas) for network in networks))
        self.level_start = self.steps  # the last step before this level

    def _draw_inputs(self, steps: int) -> torch.Tensor:
        """The random numbers of the next steps, (steps, B, L + 1): latents, and where the penalty is measured."""
        return torch.stack([self._draw_input(self.inputs.taken + step) for step in range(1, steps + 1)])

    def _draw_input(self, step: int) -> torch.Tensor:
        count = self.settings.batch_size
        latent = latents(count, self.plan.latent, self.random)
        along = torch.rand(count, 1, generator=self.random) if self._has_penalty(step) else torch.zeros(count, 1)
        return torch.cat([latent, along], dim=1)

    def _has_penalty(self, step: int) -> bool:
        return (step - 1) % self.settings.penalty_every == 0

    def step(self) -> Losses:
        """Update the discriminator and then the generator, on one batch; returns the losses."""
        moment = self.schedule.of_step(self.steps + 1)
        if moment.level != self.moment.level:
            self._start_level()
        self.steps += 1
        self.moment = moment
        chosen, inputs = next(self.batches), next(self.inputs)
        real, labels = self.real(chosen), self.labels[chosen]  # (B, C, h, w), (B,)
        code = codes(inputs[:, :-1], labels, self.plan.classes)  # the real batch's labels
        reported: Losses = {}

        def discriminator_loss(fake: torch.Tensor) -> torch.Tensor:
            return self._discriminator_loss(real, fake, labels, inputs[:, -1], reported)

        def generator_loss(fake: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.discriminator(fake, moment)
            return class_loss(scores, labels) - scores[:, 0].float().mean()

        losses = adversarial_step(
            self.players, self.context, lambda: self.generator(code, moment), discriminator_loss, generator_loss
        )
        follow(self.average, self.generator, ramped(self.settings.ema, self.steps - self.level_start))
        return losses | reported

    def real(self, chosen: torch.Tensor) -> torch.Tensor:
        """These real images at the moment's level, (B, C, h, w), blended like the synthetic ones while it fades in."""
        pixels = self.pixels[chosen].permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
        real = downsampled(pixels, self.plan.size // resolution(self.moment.level))
        return torch.lerp(upsampled(downsampled(real)), real, self.moment.fade) if self.moment.fade < 1 else real

    def _discriminator_loss(
        self, real: torch.Tensor, fake: torch.Tensor, labels: torch.Tensor, along: torch.Tensor, reported: Losses
    ) -> torch.Tensor:
        scores = self.discriminator(torch.cat([real, fake.to(real.dtype)]), self.moment).float()
        of_real, of_fake = scores.chunk(2)
        loss = critic_loss(of_real[:, 0], of_fake[:, 0]) + class_loss(of_real, labels) + class_loss(of_fake, labels)
        if self._has_penalty(self.steps):
            penalty = self._penalty(real, fake, along)
            self.penalty = penalty.detach()
            loss = loss + penalty * self.settings.penalty_every
        reported["wasserstein"] = (of_real[:, 0].mean() - of_fake[:, 0].mean()).detach()
        reported["gradient_penalty"] = self.penalty
        if self.plan.classes:
            reported["class_loss"] = class_loss(of_real, labels).detach()
        return loss

    def _penalty(self, real: torch.Tensor, fake: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.context.device, enabled=False):  # bfloat16 is too coarse for second derivatives
            return gradient_penalty(self._realness, real, fake.float(), along)

    def _realness(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.discriminator(images, self.moment)
        return scores[:, 0]

    def owned(self) -> Owned:
        """Everything that a step changes; how far the networks have grown is the state of this object."""
        return {
            "players": self.players,
            "average": self.average,
            "random": self.random,
            "inputs": self.inputs,
            "batches": self.batches,
            "growth": self,
        }

    def state_dict(self) -> dict[str, Any]:
        """How far the networks have grown, for a checkpoint."""
        return {name: getattr(self, name) for name in ("steps", "level_start", "moment", "penalty")}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Set a state that `state_dict` gave."""
        vars(self).update(state_dict)
        self.moment = Moment(*state_dict["moment"])

    @torch.no_grad()
    def draw(self, latent: torch.Tensor, label: int) -> Images:
        """Images of the averaged generator at present, pixels repeated up to full size: uint8 (N, size, size, C)."""
        labels = torch.full((len(latent),), label)
        code = codes(latent, labels, self.plan.classes).to(self.context.device)
        images = self.average(code, self.moment)
        while images.shape[2] < self.plan.size:
            images = upsampled(images)
        return to_images(images)

    def weights(self) -> State:
        """The averaged generator's weights on the CPU; raises TrainingDiverged if one is not finite."""
        check_weights(self.average, self.steps)
        return {name: tensor.cpu() for name, tensor in self.average.state_dict().items()}


def ramped(decay: float, step: int) -> float:
    """The decay of the average at a step of a level, counted from 1: it grows with the steps, up to `decay`.

    With the full decay from the start, a short training would average in the random initial weights of new layers.
    """
    return min(decay, step / (step + 3))


@torch.no_grad()
def follow(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """Update every weight of the average to average * decay + network * (1 - decay)."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
