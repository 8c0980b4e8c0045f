"""The input of a generator: a latent vector on the hypersphere, and the class."""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot

from lesionbench_progressive_gan.layers import pixel_norm


def latents(count: int, length: int, random: torch.Generator) -> torch.Tensor:
    """z from N(0, 1), then scaled to the norm sqrt(length): float32 (count, length), on the CPU."""
    return pixel_norm(torch.randn(count, length, generator=random))


def codes(latent: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Latents (B, L) with one-hot labels appended, (B, L + classes); unchanged if classes is 0."""
    return torch.cat([latent, one_hot(labels, classes).to(latent.dtype)], dim=1) if classes else latent
