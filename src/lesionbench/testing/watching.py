"""Watching what a plugin does beside its work: global state, printing, files."""

from __future__ import annotations

import logging
import random
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.testing.require import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Where a plugin that draws from global state should draw from instead.
ADVICE = {
    "random": "draw from random.Random(seed)",
    "numpy.random": "draw from np.random.default_rng(seed)",
    "torch.random": "work inside lesionbench.torchkit.training.torch_session(seed)",
}
UNLIKELY_SEED = 918_273_645  # a plugin that reseeds would have to choose this very one to go unseen
UNLIKELY_THREADS = 3


@contextmanager
def global_state_left_alone(what: str) -> Iterator[None]:
    """Raise AssertionError when the block changes global state; put back what was there before in any case."""
    found = _snapshot()
    _prepare()
    before = _snapshot()
    try:
        yield
        after = _snapshot()
    finally:
        _restore(found)
    touched = [name for name in before if not _same(before[name], after[name])]
    advice = [ADVICE.get(name, f"leave {name} as it is, or put it back") for name in touched]
    require(
        not touched, f"{what} must leave global state alone, but it changed {', '.join(touched)}; {'; '.join(advice)}"
    )


@contextmanager
def nothing_printed(what: str) -> Iterator[None]:
    """Raise AssertionError when the block prints; log records and warnings are no prints."""
    printed = StringIO()
    silent = logging.NullHandler()  # or Python itself would print what no handler takes
    logging.getLogger().addHandler(silent)
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            yield
    finally:
        logging.getLogger().removeHandler(silent)
    text = printed.getvalue()
    require(not text, f"{what} must print nothing, but printed {text[:60]!r}; call context.report(...) instead")


@contextmanager
def nothing_written_outside(what: str) -> Iterator[Path]:
    """A folder to write into; raises AssertionError when the block writes beside it or into the current folder."""
    with TemporaryDirectory() as top:
        allowed, here = Path(top, "fit"), Path(top, "here")
        allowed.mkdir()
        here.mkdir()
        with chdir(here):
            yield allowed
        written = [
            path.relative_to(top).as_posix()
            for path in sorted(Path(top).rglob("*"))
            if path not in (allowed, here) and allowed not in path.parents
        ]
    require(
        not written, f"{what} must write into context.folder alone, but wrote {', '.join(written)}; use context.folder"
    )


def _snapshot() -> dict[str, Any]:
    state: dict[str, Any] = {"random": random.getstate(), "numpy.random": np.random.get_state()}
    if find_spec("torch") is not None:
        import torch

        state["torch.random"] = torch.get_rng_state().numpy().copy()
        state |= {name: switch.read() for name, switch in _torch_switches().items()}
    return state


@dataclass(frozen=True)
class _Switch:
    """Something of torch that is global: how to read and set it, and what it is set to while it is watched."""

    read: Callable[[], Any]
    put: Callable[[Any], Any]
    watched: Any  # not what an earlier fit of the same plugin may have left behind


def _torch_switches() -> dict[str, _Switch]:
    import torch

    def set_deterministic(found: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(found[0], warn_only=found[1])

    def is_deterministic() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    return {
        "torch.get_default_dtype()": _Switch(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        "torch.get_num_threads()": _Switch(torch.get_num_threads, torch.set_num_threads, UNLIKELY_THREADS),
        "torch.is_grad_enabled()": _Switch(torch.is_grad_enabled, torch.set_grad_enabled, True),
        "torch.are_deterministic_algorithms_enabled()": _Switch(is_deterministic, set_deterministic, (False, False)),
    }


def _set_switches(values: dict[str, Any]) -> None:
    for name, switch in _torch_switches().items():
        if switch.read() != values[name]:  # use_deterministic_algorithms alone takes seconds when first called
            switch.put(values[name])


def _prepare() -> None:
    """Put global state where a plugin that sets it, to whatever its author likes, is seen to."""
    random.seed(UNLIKELY_SEED)
    np.random.seed(UNLIKELY_SEED)
    if find_spec("torch") is not None:
        import torch

        torch.default_generator.manual_seed(UNLIKELY_SEED)
        _set_switches({name: switch.watched for name, switch in _torch_switches().items()})


def _restore(state: dict[str, Any]) -> None:
    random.setstate(state["random"])
    np.random.set_state(state["numpy.random"])
    if "torch.random" in state:
        import torch

        torch.set_rng_state(torch.from_numpy(state["torch.random"]))
        _set_switches(state)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
