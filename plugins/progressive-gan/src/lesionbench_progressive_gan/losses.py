"""The losses: WGAN-GP with drift (Karras et al. 2017, appendix A.1), and the class term (Odena et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable

PENALTY = 10.0  # lambda
TARGET = 1.0  # the norm that the critic's gradient is drawn to
DRIFT = 0.001


def critic_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The negative Wasserstein estimate and the drift of scores (B,): a scalar."""
    return fake.mean() - real.mean() + DRIFT * real.square().mean()


def gradient_penalty(
    critic: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor, fake: torch.Tensor, along: torch.Tensor
) -> torch.Tensor:
    """PENALTY times the mean squared distance of the gradient's norm from TARGET: a scalar.

    critic: images (B, C, H, W) to scores (B,).  along: (B,), where between the synthetic (0) and the real image (1)
    the gradient is taken.
    """
    mixed = torch.lerp(fake, real, along.view(-1, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    # Not a square root of a sum: where all is flat its own gradient would be nan.
    norm: torch.Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return PENALTY * (norm - TARGET).square().mean()


def class_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of scores (B, 1 + classes) without their first column: a scalar, 0 without classes."""
    logits = scores[:, 1:].float()
    return cross_entropy(logits, labels) if logits.shape[1] else logits.sum()
