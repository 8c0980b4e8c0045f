"""Adversarial training: what all GANs share, whatever their networks and losses.

A GAN provides its two networks (`Players`) and, for every step, a way to draw a synthetic batch and a loss for each
network (`adversarial_step`); `train` takes the steps, keeps and reports their losses, and stops at one that is not
finite.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from lesionbench.errors import TrainingDiverged
from lesionbench.torchkit.loop import Losses, every, run_steps
from lesionbench.torchkit.optimizers import Adam
from lesionbench.torchkit.precision import autocast
from lesionbench.torchkit.training import check_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from lesionbench.pipeline.context import RunContext
    from lesionbench.torchkit.optimizers import Optimizer
    from lesionbench.torchkit.resuming import Owned

REPORT_EVERY = 10  # steps; a loss that is not finite is noticed after at most this many
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

Curves = dict[str, list[float]]  # name of a loss to one number for each step


def initialize(network: nn.Module, random: torch.Generator, std: float = 0.02) -> None:
    """Draw weights from N(0, std), batch norm weights from N(1, std), set biases to 0 (Radford et al. 2016)."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, *WEIGHTED)):
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            nn.init.normal_(module.weight, mean, std, generator=random)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def discriminator_bce(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (..., B), real as 1 plus fake as 0: (...) (Goodfellow et al. 2014, algorithm 1)."""
    return _bce(real, 1.0) + _bce(fake, 0.0)


def generator_bce(fake: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of fake logits (..., B) as 1: the non-saturating loss, (...) (Goodfellow et al. 2014, sec. 3)."""
    return _bce(fake, 1.0)


def _bce(logits: torch.Tensor, target: float) -> torch.Tensor:
    """The mean cross-entropy of logits (..., B): (...)."""
    logits = logits.float()  # small losses would be lost in bfloat16
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="none").mean(-1)


@dataclass(frozen=True, eq=False)
class Players:
    """The two networks of one GAN in training mode, and an optimizer for each."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer

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
        optimizers = [Adam(network.parameters(), learning_rate, betas) for network in (generator, discriminator)]
        return cls(generator, discriminator, *optimizers)

    def state_dict(self) -> dict[str, Any]:
        """The state of both networks and both optimizers, for a checkpoint."""
        return {name: one.state_dict() for name, one in vars(self).items()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Set a state that `state_dict` gave."""
        for name, one in vars(self).items():
            one.load_state_dict(state_dict[name])


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
    Of stacks of networks, everything has one more dimension in front.
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


def _descend(optimizer: Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.sum().backward()  # type: ignore[no-untyped-call]  # torch's stubs
    optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Switch off gradients for the network's own weights inside the block: the generator's step does not need them."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@dataclass
class History:
    """What a training leaves behind: every loss of every step, and what `look` returned, by step."""

    curves: Curves = field(default_factory=dict)
    looks: dict[int, Any] = field(default_factory=dict)

    def add(self, step: int, losses: Losses) -> None:
        """Add the losses of the last steps up to this one; raises TrainingDiverged if one is not finite."""
        for name, loss in losses.items():
            values = loss.tolist()
            for number, value in enumerate(values, step - len(values) + 1):
                check_finite(number, **{name: value})
            self.curves.setdefault(name, []).extend(values)

    def latest(self) -> dict[str, float]:
        """The losses of the last step."""
        return {name: curve[-1] for name, curve in self.curves.items()}

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Set a state that `state_dict` gave."""
        vars(self).update(state_dict)


def train(
    one_step: Callable[[], Losses],
    steps: int,
    context: RunContext,
    owned: Callable[[], Owned],
    at: Collection[int] = (),
    look: Callable[[int], Any] | None = None,
) -> History:
    """Run `steps` steps, or what is left of them, and return every loss of every step.

    owned: returns everything that `one_step` changes, by name, for checkpoints: networks, optimizers, generators of
    random numbers, batches.
    look: called after each of the steps in `at`, for instance to draw images; 0 means before the first step. What it
    returns is kept in the history; it may contain what `fitted_part` may be given.
    Raises TrainingDiverged at most REPORT_EVERY steps after a loss that is not finite.
    """
    history = History()

    def read(step: int, losses: Losses) -> dict[str, float]:
        history.add(step, losses)
        if look and step in at:
            history.looks[step] = look(step)
        return history.latest()

    read_at = {*at, *every(REPORT_EVERY, steps)}
    run_steps(lambda _: one_step(), steps, context, lambda: {"history": history, **owned()}, read_at, read)
    return history


def check_weights(network: nn.Module, step: int, whose: str = "") -> None:
    """Raise TrainingDiverged if a weight or a running statistic is not finite: the losses show it one step late.

    whose: for the error, such as ` of malignant`, where several networks are trained together.
    """
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise TrainingDiverged(
                f"every weight must stay finite, but {name!r}{whose} is not after step {step}; "
                "try a smaller learning_rate"
            )


def picture_steps(steps: int, count: int = 8) -> list[int]:
    """At most `count` steps from 0 to `steps`, denser at the beginning, where a GAN changes most."""
    return sorted({round(steps * (index / (count - 1)) ** 2) for index in range(count)})
