"""Adversarial training: what all GANs share, whatever their networks and losses.

A GAN provides its two networks (`Players`) and, for every step, a way to draw a synthetic batch and a loss for each
network (`adversarial_step`); `train` runs the steps, collects and reports the losses, and stops at one that is not
finite.
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

REPORT_EVERY = 10  # steps; a loss that is not finite is noticed after at most this many
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

Losses = dict[str, torch.Tensor]  # name to scalar
Curves = dict[str, list[float]]  # name of a loss to one number for each step


def initialize(network: nn.Module, random: torch.Generator, std: float = 0.02) -> None:
    """Draw weights from N(0, std), batch norm weights from N(1, std), set biases to 0 (Radford et al. 2016)."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, *CONVOLUTIONS)):
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            nn.init.normal_(module.weight, mean, std, generator=random)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def discriminator_bce(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (B,), real as 1 plus fake as 0: a scalar (Goodfellow et al. 2014, algorithm 1)."""
    real, fake = real.float(), fake.float()  # small losses would be lost in bfloat16
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    return binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)


def generator_bce(fake: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of fake logits (B,) as 1: the non-saturating loss, a scalar (Goodfellow et al. 2014, sec. 3)."""
    fake = fake.float()
    return binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


@dataclass(frozen=True, eq=False)
class Players:
    """The two networks of one GAN in training mode, and an optimizer for each."""

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
        """Both networks on the device, channels last (25% faster on the CPU), with the same Adam settings."""
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

    draw: returns a batch from the generator, float (B, C, H, W).  discriminator_loss: a scalar from that batch,
    detached from the generator.  generator_loss: a scalar from that batch, using the updated discriminator.
    Returns `generator_loss` and `discriminator_loss`, each computed before its network's own update.
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
    """Switch off gradients for the network's own weights inside the block: the generator's step does not need them."""
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
    """Run `steps` steps and return every loss of every step.

    look: called after each of the steps in `at`, for instance to save a picture; 0 means before the first step.
    Raises TrainingDiverged at most REPORT_EVERY steps after a loss that is not finite.
    """
    curves: Curves = {}
    waiting: list[Losses] = []  # left on the device: reading a loss makes the CPU wait for it
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
    """Add the waiting losses to the curves and return the latest; raises TrainingDiverged if one is not finite."""
    for name in waiting[0]:
        values = torch.stack([losses[name] for losses in waiting]).tolist()
        for offset, value in enumerate(values):
            check_finite(step - len(values) + 1 + offset, **{name: value})
        curves.setdefault(name, []).extend(values)
    return {name: curve[-1] for name, curve in curves.items()}


def check_weights(network: nn.Module, step: int) -> None:
    """Raise TrainingDiverged if a weight or a running statistic is not finite: the losses show it one step late."""
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise TrainingDiverged(
                f"every weight must stay finite, but {name!r} is not after step {step}; try a smaller learning_rate"
            )


def part_report(report: Report, part: int, parts: int, **scalars: float) -> Report:
    """The report of training number `part` (from 0) of `parts` equally long ones; adds `scalars` to every line."""

    def whole(step: int, total: int, **losses: float) -> None:
        report(part * total + step, parts * total, **losses, **scalars)

    return whole


def picture_steps(steps: int, count: int = 8) -> list[int]:
    """At most `count` steps from 0 to `steps`, denser at the beginning, where a GAN changes most."""
    return sorted({round(steps * (index / (count - 1)) ** 2) for index in range(count)})
