"""The classifier `linear`: logistic regression on pixels, which every network should beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lesionbench.pipeline.classifier import Classifier

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.classifier import Predictor
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.training_set import TrainingSet


class Linear(Classifier):
    """Logistic regression on the principal components of the pixels: no network, fits in seconds.

    It sees brightness and colour at fixed places of the image, but no texture or shape that moves.
    """

    name: ClassVar[str] = "linear"
    learns_in_batches: ClassVar[bool] = False  # takes all images at once

    components: int = Field(
        50, ge=1, description="largest number of principal components; fewer if there are fewer images"
    )
    size: int = Field(32, ge=1, le=256, description="side of the input in pixels; other images are resized")
    regularisation: float = Field(
        0.01, gt=0, description="strength of the L2 penalty relative to the mean loss of an image; more is smoother"
    )

    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        from lesionbench.builtin.linear_fit import fit_linear  # scikit-learn is slow to import

        return fit_linear(self, train, context)

    def load(self, folder: Path) -> Predictor:
        from lesionbench.builtin.linear_fit import LinearPredictor

        return LinearPredictor.load(folder)
