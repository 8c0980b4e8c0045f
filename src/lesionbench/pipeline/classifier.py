"""Classifiers: settings that learn to tell classes apart, and predictors: what they learnt.

A predictor may also have
    features(images) -> float64 (N, D)    what its last layer sees: the space in which images are compared
    save(folder)                          writes itself (safetensors or JSON, never pickle); its classifier then has
                                          `load(folder)`. The baseline's predictors are kept, for their features
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from lesionbench.pipeline.plugin import Plugin

if TYPE_CHECKING:
    from pathlib import Path

    from numpy import float64
    from numpy.typing import NDArray

    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, Scores
    from lesionbench.pipeline.training_set import TrainingSet


class Predictor(Protocol):
    """What `Classifier.fit` returns."""

    def predict(self, images: Images) -> Scores:
        """Class probabilities, float64 (N, K), rows summing to 1; each image scored by itself."""


@runtime_checkable
class Featuring(Protocol):
    """A predictor that can also say what it sees in an image."""

    def features(self, images: Images) -> NDArray[float64]:
        """What its last layer is given, float64 (N, D); each image by itself."""


class Classifier(Plugin):
    """Settings that learn to tell classes apart."""

    learns_in_batches: ClassVar[bool] = True  # False when `fit` takes every image once: nothing can change on the fly

    @abstractmethod
    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        """A predictor that has seen this training set and no other image.

        A classifier that learns in batches gives every batch to `train.changed` first.

        Raises TrainingDiverged when a loss stops being finite.
        """

    def load(self, folder: Path) -> Predictor:
        """The predictor that its `save` wrote; only classifiers whose predictors can save have it."""
        raise NotImplementedError
