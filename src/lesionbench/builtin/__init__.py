"""The plugins that ship with the core, registered like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.builtin.arrays import Arrays
from lesionbench.builtin.controls import NoAugmenter, Noise, Oversample, RealHoldout
from lesionbench.builtin.folder import Folder
from lesionbench.builtin.linear import Linear
from lesionbench.builtin.liver_phantom import LiverPhantom
from lesionbench.builtin.skin_phantom import SkinPhantom
from lesionbench.hookspecs import hookimpl

if TYPE_CHECKING:
    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.pipeline.classifier import Classifier
    from lesionbench.pipeline.dataset import Dataset


@hookimpl
def register_datasets() -> list[type[Dataset]]:
    return [Arrays, Folder, LiverPhantom, SkinPhantom]


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    return [NoAugmenter, Noise, Oversample, RealHoldout]


@hookimpl
def register_classifiers() -> list[type[Classifier]]:
    return [Linear]
