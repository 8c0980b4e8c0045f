"""Distances between two sets of features: the kernel and the Fréchet inception distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Features = NDArray[np.float64]  # (N, D)


def kid(one: Features, other: Features, size: int, subsets: int, rng: np.random.Generator) -> tuple[float, float]:
    """The kernel inception distance (Binkowski et al. 2018, section 4): its mean and its standard deviation.

    Both are over `subsets` draws of `size` rows of each set without replacement; `size` is at least 2 and at most the
    number of rows. The mean is unbiased and can be negative. The deviation is that of a single draw.
    """
    assert 2 <= size <= min(len(one), len(other))
    found = [mmd2(_some(one, size, rng), _some(other, size, rng)) for _ in range(subsets)]
    return float(np.mean(found)), float(np.std(found))


def _some(features: Features, size: int, rng: np.random.Generator) -> Features:
    chosen: Features = features[rng.choice(len(features), size, replace=False)]
    return chosen


def cubic_kernel(one: Features, other: Features) -> NDArray[np.float64]:
    """(x.y / D + 1)^3 for every row x of one and y of the other: (N, M)."""
    kernel: NDArray[np.float64] = (one @ other.T / one.shape[1] + 1) ** 3
    return kernel


def mmd2(one: Features, other: Features) -> float:
    """The unbiased squared maximum mean discrepancy under the cubic kernel (Gretton et al. 2012, lemma 6)."""
    return _mean_of_pairs(one) + _mean_of_pairs(other) - 2 * float(cubic_kernel(one, other).mean())


def _mean_of_pairs(features: Features) -> float:
    """The mean of the kernel over pairs of different rows."""
    kernel, count = cubic_kernel(features, features), len(features)
    return float(kernel.sum() - np.trace(kernel)) / (count * (count - 1))


def fid(one: Features, other: Features) -> float:
    """The Fréchet distance of the two Gaussians fitted to the features (Heusel et al. 2017, section 2).

    It is biased upwards by about a constant over the number of rows (Chong & Forsyth 2020): two samples of the same
    distribution do not give 0. Both sides need more rows than columns, or the covariances are singular.
    """
    assert min(len(one), len(other)) > one.shape[1]
    return frechet(one.mean(axis=0), _covariance(one), other.mean(axis=0), _covariance(other))


def _covariance(features: Features) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(features, rowvar=False))


def frechet(
    mean1: NDArray[np.float64], cov1: NDArray[np.float64], mean2: NDArray[np.float64], cov2: NDArray[np.float64]
) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the squared Wasserstein-2 distance of two Gaussians.

    C1 C2 has the same eigenvalues as the symmetric C1^(1/2) C2 C1^(1/2), which avoids complex numbers.
    """
    values, vectors = np.linalg.eigh(cov1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    of_product = np.linalg.eigvalsh(root @ cov2 @ root).clip(0)
    return float(((mean1 - mean2) ** 2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * np.sqrt(of_product).sum())
