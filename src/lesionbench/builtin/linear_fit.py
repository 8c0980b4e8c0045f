"""Fitting the `linear` classifier, and scoring with it."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from lesionbench.errors import ContractError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench.builtin.linear import Linear
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, Labels, Scores
    from lesionbench.pipeline.training_set import TrainingSet

log = logging.getLogger("lesionbench")

MOST_ITERATIONS = 10_000
NEGLIGIBLE = 1e-5  # of the first component's standard deviation: rounding, not variation


@dataclass(frozen=True, eq=False)
class LinearPredictor:
    """A linear map from pixels to one logit for each class: weights (size * size * C, K), bias (K,).

    projection: (size * size * C, n), from pixels to principal components, for `features`.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    size: int
    projection: NDArray[np.float64]

    def predict(self, images: Images) -> Scores:
        """Class probabilities, float64 (N, K), rows sum to 1; an image's scores do not depend on the other images."""
        if not len(images):
            return np.zeros((0, len(self.bias)))
        rows = pixels(images, self.size).astype(np.float64)
        with threadpool_limits(1, "blas"):  # one product per image: a matrix product's last bits depend on its size
            logits = [row @ self.weights + self.bias for row in rows]
        scores: Scores = softmax(np.array(logits), axis=1)
        return scores

    def features(self, images: Images) -> NDArray[np.float64]:
        """The principal components of the pixels, not centred: float64 (N, n)."""
        rows = pixels(images, self.size).astype(np.float64)
        with threadpool_limits(1, "blas"):
            found: NDArray[np.float64] = rows @ self.projection
        return found

    def save(self, folder: Path) -> None:
        """Write `linear.npz` into the folder."""
        np.savez(
            folder / "linear.npz", weights=self.weights, bias=self.bias, size=self.size, projection=self.projection
        )

    @classmethod
    def load(cls, folder: Path) -> LinearPredictor:
        """The predictor that `save` wrote into this folder."""
        with np.load(folder / "linear.npz", allow_pickle=False) as kept:
            return cls(kept["weights"], kept["bias"], int(kept["size"]), kept["projection"])


def fit_linear(settings: Linear, train: TrainingSet, context: RunContext) -> LinearPredictor:
    """A logistic regression on the principal components, scaled to unit variance, without negligible components.

    The penalty is relative to the mean loss of an image, so regularisation does not weaken with more images.
    Raises ContractError if a class has no image.
    """
    images, labels = train.all_images()
    _every_class(labels, train.classes)
    with threadpool_limits(1, "blas"):  # the same sums on any number of cores
        rows = pixels(images, settings.size)
        mean, projection = _principal_components(rows, settings.components, context.seed)
        regression = _regression((rows - mean) @ projection, labels, settings.regularisation)
    slopes, bias = regression.coef_, regression.intercept_  # (K, n) and (K,), or (1, n) and (1,) for two classes
    if len(bias) == 1:
        slopes, bias = np.concatenate([0 * slopes, slopes]), np.concatenate([0 * bias, bias])
    weights = projection @ slopes.T
    predictor = LinearPredictor(weights, bias - mean @ weights, settings.size, projection)
    _report(predictor, train, int(regression.n_iter_.max()), context)
    return predictor


def _every_class(labels: Labels, classes: tuple[str, ...]) -> None:
    missing = [name for label, name in enumerate(classes) if not (labels == label).any()]
    if missing:
        raise ContractError(f"linear needs training images of every class, but {', '.join(missing)} has none")


def pixels(images: Images, size: int) -> NDArray[np.float32]:
    """The images at size x size as rows of values in 0..1: float32 (N, size * size * C)."""
    if images.shape[1:3] != (size, size):
        images = np.array([_resized(image, size) for image in images], np.uint8)
        images = images.reshape(len(images), size, size, -1)
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """One (H, W, C) image at size x size, bilinear, antialiased when shrinking; one channel loses its axis."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


def _principal_components(
    rows: NDArray[np.float32], components: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean row (P,), and the projection (P, n) to components of unit variance; n >= 1, without negligible ones."""
    most = max(1, min(components, len(rows) - 1, rows.shape[1]))
    with np.errstate(invalid="ignore"):  # identical images have no variance to explain
        pca = PCA(most, random_state=seed % 2**32).fit(rows)
    spread = np.sqrt(np.maximum(pca.explained_variance_, 0)).astype(np.float64)  # (most,), decreasing
    kept = spread > NEGLIGIBLE * max(spread[0], NEGLIGIBLE)
    if not kept.any():
        return rows.mean(axis=0, dtype=np.float64), np.zeros((rows.shape[1], 1))
    return pca.mean_.astype(np.float64), (pca.components_[kept] / spread[kept, None]).T.astype(np.float64)


def _regression(features: NDArray[np.float64], labels: Labels, regularisation: float) -> LogisticRegression:
    """A logistic regression fitted to features (N, n); logs a warning if it did not converge."""
    inverse = 1 / (regularisation * len(labels))  # scikit-learn's C multiplies the sum of the losses
    regression = LogisticRegression(C=inverse, tol=1e-6, max_iter=MOST_ITERATIONS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        regression.fit(features, labels)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log.warning(
            "linear did not converge in %d iterations; raise regularisation above %g or lower components",
            MOST_ITERATIONS,
            regularisation,
        )
    return regression


def _report(predictor: LinearPredictor, train: TrainingSet, iterations: int, context: RunContext) -> None:
    """Report once, at the end: the mean loss of the training and of the validation images, in nats."""
    images, labels = train.all_images()
    known = range(len(train.classes))
    context.report(
        iterations,
        iterations,
        loss=float(log_loss(labels, predictor.predict(images), labels=known)),
        validation_loss=float(
            log_loss(train.validation.labels, predictor.predict(train.validation.images), labels=known)
        ),
    )
