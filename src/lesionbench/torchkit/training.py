"""What every training loop needs: a seeded session, batches, random numbers, and a check that losses are finite."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from lesionbench.errors import TrainingDiverged
from lesionbench.pipeline.context import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lesionbench.pipeline.images import Labels

STEPS_AHEAD = 64  # for which positions and random numbers are drawn at a time


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


class _Order:
    """Endless positions, 0..count-1 in one random order after the other."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._random = torch.Generator().manual_seed(seed % 2**63)
        self._waiting = torch.empty(0, dtype=torch.int64)

    def take(self, number: int) -> torch.Tensor:
        """The next positions, int64 (number,)."""
        missing = range(0, number - len(self._waiting), self.count)
        passes = [torch.randperm(self.count, generator=self._random) for _ in missing]
        waiting = torch.cat([self._waiting, *passes])
        taken, self._waiting = waiting[:number], waiting[number:]
        return taken

    def state_dict(self) -> dict[str, Any]:
        """The position, for a checkpoint."""
        return {"random": self._random.get_state(), "waiting": self._waiting}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        self._random.set_state(state_dict["random"])
        self._waiting = state_dict["waiting"]


class Ahead:
    """Endless tensors of one shape on the device, one for each step; `taken` is the number of tensors so far.

    They are drawn on the CPU and moved to the device for many steps at once, so that a step costs one slice: with a
    copy in every step, a GPU would wait for the CPU.
    """

    def __init__(self, draw: Callable[[int], torch.Tensor], device: str) -> None:
        self.taken = 0
        self._draw = draw  # returns what the next n steps get, (n, ...), on the CPU
        self._device = device
        self._waiting = torch.empty(0, device=device)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> torch.Tensor:
        if not len(self._waiting):
            self._waiting = self._draw(STEPS_AHEAD).to(self._device)
        of_step, self._waiting = self._waiting[0], self._waiting[1:]
        self.taken += 1
        return of_step

    def state_dict(self) -> dict[str, Any]:
        """The position, for a checkpoint; the state of what `draw` draws from is not part of it."""
        return {"taken": self.taken, "waiting": self._waiting}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        self.taken, self._waiting = state_dict["taken"], state_dict["waiting"]


class Batches(Ahead):
    """Endless batches of positions, int64 (batch_size,) on the device."""

    def __init__(self, orders: list[_Order], draw: Callable[[int], torch.Tensor], batch_size: int, device: str) -> None:
        """draw: returns the next n positions, int64 (n,); it takes them from the orders."""
        super().__init__(lambda steps: draw(steps * batch_size).view(steps, batch_size), device)
        self._orders = orders

    def state_dict(self) -> dict[str, Any]:
        """The position, for a checkpoint."""
        return {**super().state_dict(), "orders": [order.state_dict() for order in self._orders]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go to a position that `state_dict` gave."""
        super().load_state_dict(state_dict)
        for order, state in zip(self._orders, state_dict["orders"], strict=True):
            order.load_state_dict(state)


def batches(count: int, batch_size: int, seed: int, device: str = "cpu") -> Batches:
    """Endless index batches, int64 (batch_size,) on the device: each pass over 0..count-1 is in a new random order."""
    order = _Order(count, seed)
    return Batches([order], order.take, batch_size, device)


def balanced_batches(labels: Labels, batch_size: int, seed: int, device: str = "cpu") -> Batches:
    """Endless batches of positions, int64 (batch_size,) on the device, in which all classes occur equally often.

    Within a class, each pass over its images is in a new random order. Every class must have an image. The numbers of
    two classes in a batch differ by two at most, and not at all where batches hold whole rounds of classes.
    """
    counts = np.bincount(labels)
    members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in range(len(counts))]
    classes = _Order(len(counts), derive_seed("classes", seed))
    within = [_Order(count, derive_seed("order", seed, label)) for label, count in enumerate(counts.tolist())]

    def draw(number: int) -> torch.Tensor:
        positions = classes.take(number)  # labels at first, then the images that stand in for them
        chosen = [positions == label for label in range(len(counts))]
        for of_class, images, order in zip(chosen, members, within, strict=True):
            positions[of_class] = images[order.take(int(of_class.sum()))]
        return positions

    return Batches([classes, *within], draw, batch_size, device)


def check_finite(step: int, **losses: float) -> None:
    """Raise TrainingDiverged if one of the losses is not a finite number."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss {name!r} must stay finite, but it is {value} at step {step}; try a smaller learning_rate"
            )
