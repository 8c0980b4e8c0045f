"""Optimizers that call torch's fused kernels: the weights that torch.optim gives with fused=True, without its imports.

Making any optimizer of torch.optim imports torch's compiler and sympy: about a second and 150 MB in every process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


class Optimizer(Protocol):
    """What a training loop needs of an optimizer; those of torch.optim have it too."""

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""

    def step(self) -> Any:
        """Change the weights by their gradients."""

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Set a state that `state_dict` gave."""


class _Fused:
    """What the optimizers share: `state` has one tensor for each weight under every name."""

    def __init__(self, weights: Iterable[Tensor], *state: str) -> None:
        self.weights = list(weights)
        self.state = {name: [torch.zeros_like(weight) for weight in self.weights] for name in state}

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for weight in self.weights:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        return dict(self.state)

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Set a state that `state_dict` gave."""
        for name, tensors in self.state.items():
            for own, saved in zip(tensors, state_dict[name], strict=True):
                own.copy_(saved)

    def _with_gradients(self) -> list[list[Tensor]]:
        """The weights that have a gradient, their gradients, and their state by name: one list each."""
        everything: list[list[Any]] = [self.weights, list(map(_gradient, self.weights)), *self.state.values()]
        chosen = [position for position, gradient in enumerate(everything[1]) if gradient is not None]
        return [[tensors[position] for position in chosen] for tensors in everything]


def _gradient(weight: Tensor) -> Tensor | None:
    """The gradient, in memory like the weight: the kernels go through both as through one list of numbers.

    Autograd lays gradients out like this; one that was set by hand may have another memory format.
    """
    gradient = weight.grad
    if gradient is None or gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


class Adam(_Fused):
    """Adam without weight decay (Kingma and Ba 2015, algorithm 1); weights without a gradient are left alone."""

    def __init__(
        self,
        weights: Iterable[Tensor],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(weights, "means", "squares")
        self.state["steps"] = [torch.zeros((), device=weight.device) for weight in self.weights]
        self.learning_rate = learning_rate
        self.betas = betas
        self.eps = eps

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by their gradients."""
        weights, gradients, means, squares, steps = self._with_gradients()
        if not weights:
            return
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            weights, gradients, means, squares, [], steps,
            lr=self.learning_rate, beta1=self.betas[0], beta2=self.betas[1], eps=self.eps,
            weight_decay=0.0, amsgrad=False, maximize=False,
        )  # fmt: skip


class Sgd(_Fused):
    """Stochastic gradient descent, with Nesterov's momentum unless `momentum` is 0 (Sutskever et al. 2013)."""

    def __init__(self, weights: Iterable[Tensor], learning_rate: float, momentum: float) -> None:
        super().__init__(weights, *(["velocities"] if momentum else []))
        self.learning_rate = learning_rate
        self.momentum = momentum

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by their gradients."""
        weights, gradients, *velocities = self._with_gradients()
        if not weights:
            return
        torch._fused_sgd_(
            weights, gradients, velocities[0] if velocities else [],
            lr=self.learning_rate, momentum=self.momentum, dampening=0.0, nesterov=self.momentum > 0,
            weight_decay=0.0, maximize=False, is_first_step=False,
        )  # fmt: skip
