"""The plugins that ship with the core, registered like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.builtin.controls import NoAugmenter, Oversample
from lesionbench.builtin.folder import Folder
from lesionbench.builtin.skin_phantom import SkinPhantom
from lesionbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.pipeline.dataset import Dataset


@hookimpl
def register_datasets() -> list[type[Dataset]]:
    return [Folder, SkinPhantom]


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    return [NoAugmenter, Oversample]
