"""The real images of each step."""

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
    """Positions for ever, int64 (batch_size,): the classes in turn, so that a rare one is learnt as the others are.

    Within a class every image comes once, in random order, before any comes again. Every class must have an image.
    """
    classes = [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(int(labels.max()) + 1)]
    orders = [
        batches(len(members), 1, derive_seed("progressive-gan order", seed, label))
        for label, members in enumerate(classes)
    ]
    turn = 0
    while True:
        of = [(turn + number) % len(classes) for number in range(batch_size)]
        turn += batch_size
        yield torch.cat([classes[label][next(orders[label])] for label in of])
