"""Does this augmentation help a classifier on my small medical image set, and how many images should I add?

What a notebook needs (`run`, `open`, `images`, ...) and every name a plugin author needs, each loaded when first used,
so that importing this costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesionbench.api.auditing import audit_split, check
    from lesionbench.api.images import images
    from lesionbench.api.planning import RunPlan, plan
    from lesionbench.api.run_folder import Run, open  # noqa: A004, F401  # used as lesionbench.open
    from lesionbench.api.running import run
    from lesionbench.errors import (
        ContractError,
        DatasetError,
        InputError,
        LesionbenchError,
        OutputError,
        SettingsError,
        TrainingDiverged,
        Try,
        UnreadableImage,
    )
    from lesionbench.hookspecs import hookimpl
    from lesionbench.pipeline.augmenter import Augmenter, AugmenterInParts, FittedPart, Sampler, StackableAugmenter
    from lesionbench.pipeline.classifier import Classifier, Predictor
    from lesionbench.pipeline.context import Report, RunContext, derive_seed
    from lesionbench.pipeline.dataset import Dataset, LoadedDataset
    from lesionbench.pipeline.images import Groups, Images, LabelledImages, Labels, Scores
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.pipeline.training_set import TrainingSet
    from lesionbench.spelling import did_you_mean, spec_of
    from lesionbench.workers.executors import Executor, Needs, Opening, Workers

__version__ = "0.1.0"

_HOME = {
    "Augmenter": "pipeline.augmenter",
    "AugmenterInParts": "pipeline.augmenter",
    "Classifier": "pipeline.classifier",
    "ContractError": "errors",
    "Dataset": "pipeline.dataset",
    "DatasetError": "errors",
    "Executor": "workers.executors",
    "FittedPart": "pipeline.augmenter",
    "Groups": "pipeline.images",
    "Images": "pipeline.images",
    "InputError": "errors",
    "LabelledImages": "pipeline.images",
    "Labels": "pipeline.images",
    "LesionbenchError": "errors",
    "LoadedDataset": "pipeline.dataset",
    "Needs": "workers.executors",
    "Opening": "workers.executors",
    "OutputError": "errors",
    "Plugin": "pipeline.plugin",
    "Predictor": "pipeline.classifier",
    "Report": "pipeline.context",
    "Run": "api.run_folder",
    "RunContext": "pipeline.context",
    "RunPlan": "api.planning",
    "Sampler": "pipeline.augmenter",
    "Scores": "pipeline.images",
    "SettingsError": "errors",
    "StackableAugmenter": "pipeline.augmenter",
    "TrainingDiverged": "errors",
    "TrainingSet": "pipeline.training_set",
    "Try": "errors",
    "UnreadableImage": "errors",
    "Workers": "workers.executors",
    "audit_split": "api.auditing",
    "check": "api.auditing",
    "derive_seed": "pipeline.context",
    "did_you_mean": "spelling",
    "hookimpl": "hookspecs",
    "images": "api.images",
    "open": "api.run_folder",
    "plan": "api.planning",
    "run": "api.running",
    "spec_of": "spelling",
}

__all__ = [  # all but `open`: `from lesionbench import *` must not hide the one of Python
    "Augmenter",
    "AugmenterInParts",
    "Classifier",
    "ContractError",
    "Dataset",
    "DatasetError",
    "Executor",
    "FittedPart",
    "Groups",
    "Images",
    "InputError",
    "LabelledImages",
    "Labels",
    "LesionbenchError",
    "LoadedDataset",
    "Needs",
    "Opening",
    "OutputError",
    "Plugin",
    "Predictor",
    "Report",
    "Run",
    "RunContext",
    "RunPlan",
    "Sampler",
    "Scores",
    "SettingsError",
    "StackableAugmenter",
    "TrainingDiverged",
    "TrainingSet",
    "Try",
    "UnreadableImage",
    "Workers",
    "audit_split",
    "check",
    "derive_seed",
    "did_you_mean",
    "hookimpl",
    "images",
    "plan",
    "run",
    "spec_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lesionbench' has no attribute {name!r}")
    return getattr(import_module(f"lesionbench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
