"""What every training loop needs: a seeded session, batches, and a check that losses are finite."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

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


class Batches:
    """Endless index batches, int64 (batch_size,); `taken` is the number of batches so far."""

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count = count
        self.batch_size = batch_size
        self.taken = 0
        self._random = torch.Generator().manual_seed(seed % 2**63)
        self._waiting = torch.empty(0, dtype=torch.int64)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> torch.Tensor:
        while len(self._waiting) < self.batch_size:
            self._waiting = torch.cat([self._waiting, torch.randperm(self.count, generator=self._random)])
        batch, self._waiting = self._waiting[: self.batch_size], self._waiting[self.batch_size :]
        self.taken += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The position, for a checkpoint."""
        return {"taken": self.taken, "random": self._random.get_state(), "waiting": self._waiting}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        self.taken = state_dict["taken"]
        self._random.set_state(state_dict["random"])
        self._waiting = state_dict["waiting"]


class BalancedBatches:
    """Endless batches of positions, int64 (batch_size,), in which all classes occur equally often, to within one."""

    def __init__(self, labels: Labels, batch_size: int, seed: int) -> None:
        counts = np.bincount(labels)
        self._members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(len(counts))]
        self._orders = [
            Batches(count, 1, derive_seed("order", seed, label)) for label, count in enumerate(counts.tolist())
        ]
        self._classes = Batches(len(self._members), batch_size, derive_seed("classes", seed))  # (batch_size,) of labels

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> torch.Tensor:
        labels = next(self._classes).tolist()
        return torch.cat([self._members[label][next(self._orders[label])] for label in labels])

    def state_dict(self) -> dict[str, Any]:
        """The position, for a checkpoint."""
        return {"classes": self._classes.state_dict(), "orders": [order.state_dict() for order in self._orders]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        self._classes.load_state_dict(state_dict["classes"])
        for order, state in zip(self._orders, state_dict["orders"], strict=True):
            order.load_state_dict(state)


def batches(count: int, batch_size: int, seed: int) -> Batches:
    """Endless index batches, int64 (batch_size,): each pass over 0..count-1 is in a new random order."""
    return Batches(count, batch_size, seed)


def balanced_batches(labels: Labels, batch_size: int, seed: int) -> BalancedBatches:
    """Endless batches of positions, int64 (batch_size,), in which all classes occur equally often, to within one.

    Within a class, each pass over its images is in a new random order. Every class must have an image.
    """
    return BalancedBatches(labels, batch_size, seed)


def check_finite(step: int, **losses: float) -> None:
    """Raise TrainingDiverged if one of the losses is not a finite number."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss {name!r} must stay finite, but it is {value} at step {step}; try a smaller learning_rate"
            )
