"""The lists of checks, by kind of plugin, and that of executors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from lesionbench.testing import augmenters, classifiers, datasets, executors, settings
from lesionbench.testing.require import Skipped

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from lesionbench.plugins import Kind

__all__ = [
    "Check",
    "Skipped",
    "augmenter_checks",
    "checks_for",
    "classifier_checks",
    "dataset_checks",
    "executor_checks",
]

Check = Callable[[Any], None]  # of a class of plugins, or of an executor


def augmenter_checks() -> list[Check]:
    """One check for each promise of an augmenter class."""
    return [*_checks_in(settings), *_checks_in(augmenters)]


def classifier_checks() -> list[Check]:
    """One check for each promise of a classifier class."""
    return [*_checks_in(settings), *_checks_in(classifiers)]


def dataset_checks(root: Path | None = None) -> list[Check]:
    """One check for each promise of a dataset class.

    root: the folder to load from. Without it, the checks that load images are skipped for a dataset
    that reads files; one that makes its images (`needs_data = False`) needs none.
    """

    def with_root(check: Callable[[type[Any], Path | None], None]) -> Check:
        @wraps(check)
        def bound(plugin_class: type[Any]) -> None:
            check(plugin_class, root)

        return bound

    return [*_checks_in(settings), *map(with_root, _checks_in(datasets))]


def executor_checks() -> list[Check]:
    """One check for each promise of an executor, an object with its settings."""
    return _checks_in(executors)


def checks_for(kind: Kind, root: Path | None = None) -> list[Check]:
    """The checks for this kind of plugin; only datasets use `root`."""
    if kind == "dataset":
        return dataset_checks(root)
    return augmenter_checks() if kind == "augmenter" else classifier_checks()


def _checks_in(module: ModuleType) -> list[Callable[..., None]]:
    """The functions `check_...` of a module, in their order in the file."""
    here = [value for name, value in vars(module).items() if name.startswith("check_")]
    return [function for function in here if function.__module__ == module.__name__]
