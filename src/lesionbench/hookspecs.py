"""The hooks that a plugin package may implement; each returns classes or commands to register.

Hooks only register: no data passes through them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from collections.abc import Callable

    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.pipeline.classifier import Classifier
    from lesionbench.pipeline.dataset import Dataset

hookspec = HookspecMarker("lesionbench")
hookimpl = HookimplMarker("lesionbench")


@hookspec
def register_datasets() -> list[type[Dataset]]:  # type: ignore[empty-body]  # a hook has no body
    """The dataset classes of this package."""


@hookspec
def register_augmenters() -> list[type[Augmenter]]:  # type: ignore[empty-body]  # a hook has no body
    """The augmenter classes of this package."""


@hookspec
def register_classifiers() -> list[type[Classifier]]:  # type: ignore[empty-body]  # a hook has no body
    """The classifier classes of this package."""


@hookspec
def register_data_commands() -> list[Callable[..., None]]:  # type: ignore[empty-body]  # a hook has no body
    """Commands to add to `lesionbench data`, for preparing images.

    Each is a function with typer's annotations: `cut_rois` becomes `lesionbench data cut-rois`.
    """
