"""Does this augmentation help a classifier on my small medical image set, and how many images should I add?

Every name a plugin author needs, loaded when first used, so that importing this costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesionbench.errors import DatasetError, LesionbenchError, TrainingDiverged, UnreadableImage
    from lesionbench.hookspecs import hookimpl
    from lesionbench.pipeline.augmenter import Augmenter, Sampler
    from lesionbench.pipeline.classifier import Classifier, Predictor
    from lesionbench.pipeline.context import RunContext, derive_seed
    from lesionbench.pipeline.dataset import Dataset, LoadedDataset
    from lesionbench.pipeline.images import Groups, Images, LabelledImages, Labels, Scores
    from lesionbench.pipeline.training_set import TrainingSet

__version__ = "0.1.0"

_HOME = {
    "Augmenter": "pipeline.augmenter",
    "Classifier": "pipeline.classifier",
    "Dataset": "pipeline.dataset",
    "DatasetError": "errors",
    "Groups": "pipeline.images",
    "Images": "pipeline.images",
    "LabelledImages": "pipeline.images",
    "Labels": "pipeline.images",
    "LesionbenchError": "errors",
    "LoadedDataset": "pipeline.dataset",
    "Predictor": "pipeline.classifier",
    "RunContext": "pipeline.context",
    "Sampler": "pipeline.augmenter",
    "Scores": "pipeline.images",
    "TrainingDiverged": "errors",
    "TrainingSet": "pipeline.training_set",
    "UnreadableImage": "errors",
    "derive_seed": "pipeline.context",
    "hookimpl": "hookspecs",
}

__all__ = [
    "Augmenter",
    "Classifier",
    "Dataset",
    "DatasetError",
    "Groups",
    "Images",
    "LabelledImages",
    "Labels",
    "LesionbenchError",
    "LoadedDataset",
    "Predictor",
    "RunContext",
    "Sampler",
    "Scores",
    "TrainingDiverged",
    "TrainingSet",
    "UnreadableImage",
    "derive_seed",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lesionbench' has no attribute {name!r}")
    return getattr(import_module(f"lesionbench.{_HOME[name]}"), name)
