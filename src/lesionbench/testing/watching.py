"""Watching a plugin for side effects: global state, printing, files."""

from __future__ import annotations

import logging
import random
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.testing.fixtures import KeptFolder, Reports, a_context, arrays_of, changed_names
from lesionbench.testing.require import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.pipeline.training_set import TrainingSet

# Where a plugin that draws from global state should draw from instead.
ADVICE = {
    "random": "draw from random.Random(seed)",
    "numpy.random": "draw from np.random.default_rng(seed)",
    "torch.random": "work inside lesionbench.torchkit.training.torch_session(seed)",
}
UNLIKELY_SEED = 918_273_645  # a plugin that seeds with this very number would not be noticed
UNLIKELY_THREADS = 3


@contextmanager
def global_state_watched() -> Iterator[list[str]]:
    """A list that names, once the block has ended, the global state that it changed; everything is put back."""
    found = _snapshot()
    _prepare()
    before = _snapshot()
    changed: list[str] = []
    try:
        yield changed
        after = _snapshot()
    finally:
        _restore(found)
    changed += [name for name in before if not _same(before[name], after[name])]


def require_global_state_unchanged(what: str, changed: list[str]) -> None:
    """Raise AssertionError when something global was changed, with what to use instead."""
    advice = [ADVICE.get(name, f"leave {name} as it is, or put it back") for name in changed]
    require(
        not changed, f"{what} must leave global state alone, but it changed {', '.join(changed)}; {'; '.join(advice)}"
    )


@contextmanager
def global_state_left_alone(what: str) -> Iterator[None]:
    """Raise AssertionError when the block changes global state; put back what was there before in any case."""
    with global_state_watched() as changed:
        yield
    require_global_state_unchanged(what, changed)


class Traces:
    """What was printed, and which files were written, while a plugin worked in a temporary folder of its own.

    `folder` is the one folder that the plugin may write into. It exists as long as this object does.
    """

    def __init__(self) -> None:
        self._kept = KeptFolder()
        self._top = self._kept.path
        self.folder, self._here = self._top / "fit", self._top / "here"
        self.folder.mkdir()
        self._here.mkdir()
        self._printed = StringIO()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Work in an empty current folder and collect what the block prints; log records and warnings do not count."""
        silent = logging.NullHandler()  # without a handler, Python itself would print the records
        logging.getLogger().addHandler(silent)
        try:
            with redirect_stdout(self._printed), redirect_stderr(self._printed), chdir(self._here):
                yield
        finally:
            logging.getLogger().removeHandler(silent)

    def require_nothing_printed(self, what: str) -> None:
        """Raise AssertionError when something was printed."""
        text = self._printed.getvalue()
        require(not text, f"{what} must print nothing, but printed {text[:60]!r}; call context.report(...) instead")

    def require_nothing_written_outside(self, what: str) -> None:
        """Raise AssertionError when a file was written beside `folder` or into the current folder."""
        written = [
            path.relative_to(self._top).as_posix()
            for path in sorted(self._top.rglob("*"))
            if path not in (self.folder, self._here) and self.folder not in path.parents
        ]
        require(
            not written,
            f"{what} must write into context.folder alone, but wrote {', '.join(written)}; use context.folder",
        )


@dataclass(frozen=True)
class WatchedFit:
    """What one fit returned, and its side effects."""

    fitted: Any
    edited: str  # the arrays of the training data that it edited, joined by commas
    new_settings: list[str]
    global_state: list[str]
    reports: Reports
    traces: Traces

    def require_global_state_unchanged(self) -> None:
        """Raise AssertionError when the fit changed global state."""
        require_global_state_unchanged("fit", self.global_state)

    def require_settings_unchanged(self, fitted: str) -> None:
        """Raise AssertionError when the fit changed the plugin's settings; `fitted` names what a fit returns."""
        names = ", ".join(self.new_settings)
        require(not names, f"fit must leave the settings alone, but it set {names}; keep it in the {fitted}")


def watch_fit(plugin: Plugin, train: LabelledImages | TrainingSet) -> WatchedFit:
    """Fit a plugin on training data that can be edited, and note every side effect at once."""
    settings, arrays = dict(vars(plugin)), arrays_of(train)
    reports, traces = Reports(), Traces()
    fit: Any = plugin.fit  # type: ignore[attr-defined]  # augmenters and classifiers have it
    with traces.kept(), global_state_watched() as global_state:
        fitted = fit(train, a_context(traces.folder, 1, reports))
    new = [name for name, value in vars(plugin).items() if name not in settings or settings[name] != value]
    return WatchedFit(fitted, changed_names(arrays, arrays_of(train)), new, global_state, reports, traces)


def _snapshot() -> dict[str, Any]:
    state: dict[str, Any] = {"random": random.getstate(), "numpy.random": np.random.get_state()}
    if find_spec("torch") is not None:
        import torch

        state["torch.random"] = torch.get_rng_state().numpy().copy()
        state |= {name: switch.read() for name, switch in _torch_switches().items()}
    return state


@dataclass(frozen=True)
class _Switch:
    """A global setting of torch: how to read it, how to set it, and its value while a plugin is watched."""

    read: Callable[[], Any]
    put: Callable[[Any], Any]
    watched: Any  # differs from what an earlier fit of the same plugin may have set


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
    """Set global state to unusual values, so that it shows when a plugin sets it."""
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
