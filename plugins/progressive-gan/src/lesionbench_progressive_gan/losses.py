"""The losses: WGAN-GP with drift (Karras et al. 2017, appendix A.1), and the class term (Odena et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable

PENALTY = 10.0  # lambda
TARGET = 1.0  # the norm that the critic's gradient is pulled to
DRIFT = 0.001


def critic_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The negative Wasserstein estimate and the drift of scores (B,): a scalar."""
    return fake.mean() - real.mean() + DRIFT * real.square().mean()


def gradient_penalty(
    critic: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor, fake: torch.Tensor, along: torch.Tensor
) -> torch.Tensor:
    """PENALTY times the mean squared distance of the gradient's norm from TARGET: a scalar.

    critic: images (B, C, H, W) to scores (B,).  along: (B,), where the gradient is taken, from 0 (the
    synthetic image) to 1 (the real one).
    """
    mixed = torch.lerp(fake, real, along.view(-1, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    # Not the square root of a sum: its gradient would be nan where the critic is constant.
    norm: torch.Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return PENALTY * (norm - TARGET).square().mean()


def class_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the scores (B, 1 + classes) without the first column: a scalar, 0 if there are no classes."""
    logits = scores[:, 1:].float()
    return cross_entropy(logits, labels) if logits.shape[1] else logits.sum()
