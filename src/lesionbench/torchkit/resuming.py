"""Going on inside a fit: what a training loop owns, as one state that can be saved and put back bit for bit.

A loop calls `restore` before its first step, and `save` after a step when the checkpoint is due. Torch's global random
state is part of the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from lesionbench.pipeline.augmenter import FittedPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.context import RunContext

Arrays = dict[str, "NDArray[Any]"]


class Stateful(Protocol):
    """Has a state that can be read and set: networks, optimizers, batches."""

    def state_dict(self) -> dict[str, Any]:
        """The state: numbers, texts, arrays and tensors, and tuples, lists and dicts of them."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Set it."""


Owned = Mapping[str, Stateful | torch.Generator | list[Any]]


def restore(context: RunContext, owned: Owned) -> int:
    """Put back the state that was saved last, and return the number of steps done: 0 if nothing was saved."""
    saved = context.checkpoint.load()
    if saved is None:
        return 0
    state = unpacked(saved.arrays, saved.values)
    for name, one in owned.items():
        if isinstance(one, torch.Generator):
            one.set_state(state["owned"][name])
        elif isinstance(one, list):
            one[:] = state["owned"][name]
        else:
            one.load_state_dict(state["owned"][name])
    torch.set_rng_state(state["random"])
    if context.device == "cuda":
        torch.cuda.set_rng_state(state["random of the GPU"])
    return saved.step


def save(context: RunContext, step: int, owned: Owned) -> None:
    """Save the state after `step` steps; call it when `context.checkpoint.due()`."""
    state: dict[str, Any] = {"owned": {name: _state_of(one) for name, one in owned.items()}}
    state["random"] = torch.get_rng_state()
    if context.device == "cuda":
        state["random of the GPU"] = torch.cuda.get_rng_state()
    context.checkpoint.save(step, *packed(state))


def _state_of(one: Stateful | torch.Generator | list[Any]) -> Any:
    if isinstance(one, torch.Generator):
        return one.get_state()
    return one if isinstance(one, list) else one.state_dict()


def fitted_part(learned: Any) -> FittedPart:
    """What one part of a fit has learned: tensors, arrays, numbers, texts, and tuples, lists and dicts of them."""
    return FittedPart(*packed(learned))


def of_fitted_part(part: FittedPart) -> Any:
    """What `fitted_part` was given."""
    return unpacked(part.arrays, part.values)


def packed(state: Any) -> tuple[Arrays, Any]:
    """A state as arrays by name, and the rest, which JSON can hold and which says where the arrays belong."""
    arrays: Arrays = {}
    return arrays, _packed(state, arrays)


def _packed(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, torch.Tensor):
        # Memory layout and device count: fused optimizers take for granted that their state lies as the weights do.
        strides = list(torch.empty_like(value, device="meta").stride())
        return {
            "tensor": _kept(_as_array(value), arrays),
            "dtype": str(value.dtype).removeprefix("torch."),
            "strides": strides,
            "device": str(value.device),
        }
    if isinstance(value, np.ndarray):
        return {"array": _kept(value, arrays)}
    if isinstance(value, Mapping):
        return {"dict": [[key, _packed(one, arrays)] for key, one in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_packed(one, arrays) for one in value]}
    if isinstance(value, list):
        if value and all(type(one) is float for one in value):  # a curve: as text it would take three times the room
            return {"floats": _kept(np.array(value), arrays)}
        return [_packed(one, arrays) for one in value]
    return value


def _kept(array: NDArray[Any], arrays: Arrays) -> str:
    name = str(len(arrays))
    arrays[name] = array
    return name


def _as_array(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # unknown to numpy
        tensor = tensor.view(torch.int16)
    array: NDArray[Any] = tensor.numpy()
    return array


def unpacked(arrays: Mapping[str, NDArray[Any]], value: Any) -> Any:
    """The state that was packed, with tensors of the same type, memory layout and device."""
    if isinstance(value, list):
        return [unpacked(arrays, one) for one in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return _as_tensor(arrays[value["tensor"]], value)
    if "array" in value:
        return arrays[value["array"]]
    if "floats" in value:
        return arrays[value["floats"]].tolist()
    if "tuple" in value:
        return tuple(unpacked(arrays, one) for one in value["tuple"])
    return {key: unpacked(arrays, one) for key, one in value["dict"]}


def _as_tensor(array: NDArray[Any], packed_as: dict[str, Any]) -> torch.Tensor:
    dtype: torch.dtype = getattr(torch, packed_as["dtype"])
    content = torch.from_numpy(array.copy())
    if dtype == torch.bfloat16:
        content = content.view(dtype)
    tensor = torch.empty_strided(content.shape, packed_as["strides"], dtype=dtype, device=packed_as["device"])
    return tensor.copy_(content)
