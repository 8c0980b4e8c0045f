"""Batches of labelled images, and how often each class stands in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from lesionbench.pipeline.context import derive_seed
from lesionbench.torchkit.training import batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.pipeline.images import Labels


def balanced_batches(labels: Labels, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Positions for ever, int64 (batch_size,): every class equally often, to within one, in any run of them.

    Within a class every image comes once, in random order, before any comes again. Every class must have an image.
    """
    counts = np.bincount(labels)
    members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(len(counts))]
    orders = [batches(count, 1, derive_seed("order", seed, label)) for label, count in enumerate(counts.tolist())]
    for chosen in batches(len(members), batch_size, derive_seed("classes", seed)):  # (batch_size,) of labels
        yield torch.cat([members[label][next(orders[label])] for label in chosen.tolist()])
