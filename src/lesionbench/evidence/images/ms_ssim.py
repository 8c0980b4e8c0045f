"""Multi-scale structural similarity, and the diversity of images as its mean over pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images

    Planes = NDArray[np.float64]  # (N, C, H, W), 0..255

WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
WEIGHTS = (0.0448, 0.2856, 0.3001)  # of the finest scales of five
CHUNK = 1 << 20  # numbers in a batch of images; about ten copies of it are in memory at a time


def scales_for(height: int, width: int) -> int:
    """The number of scales at which images of this size (pixels) can be compared; 0 if the window does not fit.

    The window must fit into the coarsest scale: 3 scales from 64 pixels, 2 from 32, 1 from 11. Values with different
    numbers of scales cannot be compared.
    """
    side = min(height, width)
    return 3 if side >= 64 else 2 if side >= 32 else 1 if side >= WINDOW else 0


def diversity(images: Images, pairs: int, rng: np.random.Generator) -> float:
    """The mean MS-SSIM over `pairs` random pairs of different images (Odena et al. 2016, section 4.2).

    1.0 if all are the same image, less the more they differ. Needs at least two images.
    """
    first = rng.integers(len(images), size=pairs)
    second = (first + 1 + rng.integers(len(images) - 1, size=pairs)) % len(images)
    scales = scales_for(*images.shape[1:3])
    step = max(1, CHUNK // images[0].size)
    parts = [slice(start, start + step) for start in range(0, pairs, step)]
    return float(np.concatenate([ms_ssim(images[first[part]], images[second[part]], scales) for part in parts]).mean())


def ms_ssim(one: Images, other: Images, scales: int) -> NDArray[np.float64]:
    """The multi-scale structural similarity of each image with its counterpart, (N,) (Wang et al. 2003).

    It uses the contrast and structure of every scale and the luminance of the coarsest one, with the weights of the
    finest of Wang's five scales, normalized to sum 1; one scale is plain SSIM. Negative terms count as 0. The result
    is the mean over channels. one, other: uint8 (N, H, W, C).
    """
    assert 1 <= scales <= scales_for(*one.shape[1:3])
    x, y = _planes(one), _planes(other)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    product = np.ones(x.shape[:2])
    for scale, weight in enumerate(weights):
        luminance, structure = _terms(x, y)
        last = scale == scales - 1
        term = (luminance * structure if last else structure).mean(axis=(2, 3))
        product *= term.clip(0) ** weight
        if not last:
            x, y = _halved(x), _halved(y)
    similarity: NDArray[np.float64] = product.mean(axis=1)
    return similarity


def _planes(images: Images) -> Planes:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float64)


def _terms(x: Planes, y: Planes) -> tuple[Planes, Planes]:
    """The maps of luminance, and of contrast and structure (Wang et al. 2004, equations 6 and 13)."""
    mean_x, mean_y = _smooth(x), _smooth(y)
    means = mean_x**2 + mean_y**2
    variances = _smooth(x * x + y * y) - means  # in this order of operations, an image has exactly 1.0 with itself
    covariance = _smooth(x * y) - mean_x * mean_y
    return (2 * mean_x * mean_y + C1) / (means + C1), (2 * covariance + C2) / (variances + C2)


def _smooth(planes: Planes) -> Planes:
    """Gaussian means over the windows that fit into the image: (N, C, H - 10, W - 10)."""
    down, right = (_windows(size) for size in planes.shape[2:])
    smooth: Planes = down @ planes @ right.T
    return smooth


def _windows(size: int) -> NDArray[np.float64]:
    """The Gaussian window at every position along a side: (size - 10, size)."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    places = np.zeros((size - WINDOW + 1, size))
    for place, row in enumerate(places):
        row[place : place + WINDOW] = window / window.sum()
    return places


def _halved(planes: Planes) -> Planes:
    """The means of blocks of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (size // 2 * 2 for size in planes.shape[2:])
    even = planes[:, :, :height, :width]
    return (even[:, :, ::2, ::2] + even[:, :, 1::2, ::2] + even[:, :, ::2, 1::2] + even[:, :, 1::2, 1::2]) / 4
