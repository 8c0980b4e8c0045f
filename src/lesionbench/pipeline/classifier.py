"""Classifiers: settings that learn to tell classes apart, and predictors: what they learnt."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from lesionbench.pipeline.plugin import Plugin

if TYPE_CHECKING:
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, Scores
    from lesionbench.pipeline.training_set import TrainingSet


class Predictor(Protocol):
    """What `Classifier.fit` returns."""

    def predict(self, images: Images) -> Scores:
        """Class probabilities, float64 (N, K), rows summing to 1; each image scored by itself."""


class Classifier(Plugin):
    """Settings that learn to tell classes apart."""

    learns_in_batches: ClassVar[bool] = True  # False when `fit` takes every image once: nothing can change on the fly

    @abstractmethod
    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        """A predictor that has seen this training set and no other image.

        A classifier that learns in batches gives every batch to `train.changed` first.

        Raises TrainingDiverged when a loss stops being finite.
        """
