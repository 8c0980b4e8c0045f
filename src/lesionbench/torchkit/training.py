"""What every training loop needs: a seeded session, batches, and a check that losses are finite."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from lesionbench.errors import TrainingDiverged
from lesionbench.pipeline.context import derive_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.pipeline.images import Labels


@contextmanager
def torch_session(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed torch inside the block, and restore its global state afterwards.

    Inside, torch uses one thread on the CPU and deterministic algorithms on a GPU, so the result does not depend on
    how many processes share the machine.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if device == "cuda" else []):
        torch.manual_seed(seed % 2**63)
        with _deterministic_cuda() if device == "cuda" else _one_thread():
            yield


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _deterministic_cuda() -> Iterator[None]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)  # takes seconds when first called, so not on the CPU
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def batches(count: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Endless index batches, int64 (batch_size,): each pass over 0..count-1 is in a new random order."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < batch_size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=generator)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def balanced_batches(labels: Labels, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Endless batches of positions, int64 (batch_size,), in which all classes occur equally often, to within one.

    Within a class, each pass over its images is in a new random order. Every class must have an image.
    """
    counts = np.bincount(labels)
    members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(len(counts))]
    orders = [batches(count, 1, derive_seed("order", seed, label)) for label, count in enumerate(counts.tolist())]
    for chosen in batches(len(members), batch_size, derive_seed("classes", seed)):  # (batch_size,) of labels
        yield torch.cat([members[label][next(orders[label])] for label in chosen.tolist()])


def check_finite(step: int, **losses: float) -> None:
    """Raise TrainingDiverged if one of the losses is not a finite number."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss {name!r} must stay finite, but it is {value} at step {step}; try a smaller learning_rate"
            )
