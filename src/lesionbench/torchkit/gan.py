"""Adversarial training: what GANs share, whatever their networks and their losses are.

A GAN brings its two networks (`Players`) and, for each step, how to draw a synthetic batch and a loss for each network
(`adversarial_step`); `train` plays the steps, keeps the losses, reports them, and stops when one is not finite.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from lesionbench.errors import TrainingDiverged
from lesionbench.torchkit.precision import autocast
from lesionbench.torchkit.training import check_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from lesionbench.pipeline.context import Report, RunContext

REPORT_EVERY = 10  # steps; a loss that is not finite is noticed after at most so many
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

Losses = dict[str, torch.Tensor]  # by name, each a scalar
Curves = dict[str, list[float]]  # by the loss's name, one number a step


def initialize(network: nn.Module, random: torch.Generator, std: float = 0.02) -> None:
    """Draw weights from N(0, std), batch norm's from N(1, std), and set every bias to 0 (Radford et al. 2016)."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, *CONVOLUTIONS)):
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            nn.init.normal_(module.weight, mean, std, generator=random)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def discriminator_bce(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (B,), real as 1, plus fake as 0: a scalar (Goodfellow et al. 2014, algorithm 1)."""
    real, fake = real.float(), fake.float()  # bfloat16 logits lose the small losses
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    return binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)


def generator_bce(fake: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (B,), fake as 1: the non-saturating loss, a scalar (Goodfellow et al. 2014, sec. 3)."""
    fake = fake.float()
    return binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


@dataclass(frozen=True, eq=False)
class Players:
    """The two networks of one GAN, in training mode, with an optimizer each."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer

    @classmethod
    def with_adam(
        cls,
        generator: nn.Module,
        discriminator: nn.Module,
        learning_rate: float,
        betas: tuple[float, float],
        device: str = "cpu",
    ) -> Players:
        """Both networks on the device, channels last (a quarter faster on the CPU), with the same Adam settings."""
        for network in (generator, discriminator):
            network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # torch's stubs

        def adam(network: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.Adam(network.parameters(), learning_rate, betas, fused=True)

        return cls(generator, discriminator, adam(generator), adam(discriminator))


def adversarial_step(
    players: Players,
    context: RunContext,
    draw: Callable[[], torch.Tensor],
    discriminator_loss: Callable[[torch.Tensor], torch.Tensor],
    generator_loss: Callable[[torch.Tensor], torch.Tensor],
) -> Losses:
    """One optimizer step of the discriminator, then one of the generator on the same synthetic batch.

    draw: makes a batch with the generator, float (B, C, H, W).  discriminator_loss: a scalar from that batch,
    cut off from the generator.  generator_loss: a scalar from that batch, seen by the discriminator's new weights.
    Returns `generator_loss` and `discriminator_loss`, as they were before each network's own update.
    """
    with autocast(context):
        fake = draw()  # (B, C, H, W)
        loss_of_discriminator = discriminator_loss(fake.detach())
    _descend(players.discriminator_optimizer, loss_of_discriminator)
    with frozen(players.discriminator):
        with autocast(context):
            loss_of_generator = generator_loss(fake)
        _descend(players.generator_optimizer, loss_of_generator)
    return {"generator_loss": loss_of_generator.detach(), "discriminator_loss": loss_of_discriminator.detach()}


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs
    optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the network's own weights inside the block: the generator's step has no use for them."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def train(
    one_step: Callable[[], Losses],
    steps: int,
    report: Report,
    at: Collection[int] = (),
    look: Callable[[int], None] | None = None,
) -> Curves:
    """Play `steps` steps and return every loss of every step.

    look: called after each of the steps in `at`, for instance to draw a picture; step 0 is before the first.
    Raises TrainingDiverged within REPORT_EVERY steps of a loss that is not finite.
    """
    curves: Curves = {}
    waiting: list[Losses] = []  # left on the device: reading each loss at once would stall it
    if look and 0 in at:
        look(0)
    for step in range(1, steps + 1):
        waiting.append(one_step())
        if step % REPORT_EVERY == 0 or step == steps or step in at:
            report(step, steps, **_read(waiting, curves, step))
            waiting.clear()
        if look and step in at:
            look(step)
    return curves


def _read(waiting: list[Losses], curves: Curves, step: int) -> dict[str, float]:
    """Add the waiting losses to the curves and return the newest; raises TrainingDiverged at the first not finite."""
    for name in waiting[0]:
        values = torch.stack([losses[name] for losses in waiting]).tolist()
        for offset, value in enumerate(values):
            check_finite(step - len(values) + 1 + offset, **{name: value})
        curves.setdefault(name, []).extend(values)
    return {name: curve[-1] for name, curve in curves.items()}


def check_weights(network: nn.Module, step: int) -> None:
    """Raise TrainingDiverged when a weight or a running statistic is not finite: losses show it one step late."""
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise TrainingDiverged(
                f"every weight must stay finite, but {name!r} is not after step {step}; try a smaller learning_rate"
            )


def part_report(report: Report, part: int, parts: int, **scalars: float) -> Report:
    """A report for one of several trainings of equal length, counted 0, 1, ...; `scalars` go with each of its lines."""

    def whole(step: int, total: int, **losses: float) -> None:
        report(part * total + step, parts * total, **losses, **scalars)

    return whole


def picture_steps(steps: int, count: int = 8) -> list[int]:
    """At most `count` steps from 0 to the last, closer together at the beginning, where a GAN changes most."""
    return sorted({round(steps * (index / (count - 1)) ** 2) for index in range(count)})
