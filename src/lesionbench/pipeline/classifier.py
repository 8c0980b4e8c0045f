"""Classifiers: settings that learn to tell classes apart, and predictors: what they learned.

A predictor may also have
    features(images) -> float64 (N, D)    the input of its last layer: the space in which images are compared
    save(folder)                          writes the predictor (safetensors or JSON, never pickle); its classifier then
                                          has `load(folder)`. Runs keep the baseline's predictors for their features
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
        """Class probabilities, float64 (N, K), rows sum to 1; an image's scores do not depend on the other images."""


@runtime_checkable
class Featuring(Protocol):
    """A predictor that can also return features of images."""

    def features(self, images: Images) -> NDArray[float64]:
        """The input of its last layer, float64 (N, D); an image's features do not depend on the other images."""


class Classifier(Plugin):
    """Settings that learn to tell classes apart."""

    learns_in_batches: ClassVar[bool] = True  # False: `fit` takes all images at once; nothing changes on the fly

    @abstractmethod
    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        """A predictor that has learned from this training set and from no other image.

        A classifier that learns in batches passes every batch through `train.changed` first.

        Raises TrainingDiverged if a loss stops being finite.
        """

    def load(self, folder: Path) -> Predictor:
        """The predictor that its `save` wrote; only for classifiers whose predictors have `save`."""
        raise NotImplementedError
