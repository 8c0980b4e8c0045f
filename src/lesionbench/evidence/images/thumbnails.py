"""Small copies of images for comparison, and the eight ways to flip and turn a square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images

SYMMETRY_NAMES = (
    "as it is",
    "turned left",
    "upside down",
    "turned right",
    "mirrored",
    "mirrored and turned left",
    "mirrored and upside down",
    "mirrored and turned right",
)
SYMMETRIES = len(SYMMETRY_NAMES)
CHUNK = 256  # images shrunk at a time, to limit the memory of their float copies


def thumbnails(images: Images, side: int) -> NDArray[np.float32]:
    """The images resized to side x side, float32 (N, side, side, C) in 0..255; a pixel is the mean of its block."""
    count, height, width, channels = images.shape
    if (height, width) == (side, side):
        return images.astype(np.float32)
    small = np.empty((count, side, side, channels), np.float32)
    for start in range(0, count, CHUNK):
        some = slice(start, start + CHUNK)
        small[some] = resampled(images[some].astype(np.float32), (0.0, 1.0), (0.0, 1.0), side)
    return small


def resampled(
    images: NDArray[np.float32], rows: tuple[float, float], columns: tuple[float, float], side: int
) -> NDArray[np.float32]:
    """A window of images (N, H, W, C) resized to side x side, float32 (N, side, side, C); a pixel is a block's mean.

    rows, columns: where the window begins and ends, as fractions of the height and the width.
    """
    count, height, width, channels = images.shape
    down, across = _block_means(height, rows, side), _block_means(width, columns, side)
    flat = down @ images.reshape(count, height, width * channels)  # (N, side, W * C)
    turned = flat.reshape(count * side, width, channels)
    small: NDArray[np.float32] = (across @ turned).reshape(count, side, side, channels)
    return small


def _block_means(length: int, window: tuple[float, float], side: int) -> NDArray[np.float32]:
    """The matrix (side, length) that maps a line of pixels to the means of `side` equal blocks of the window."""
    edges = np.linspace(window[0] * length, window[1] * length, side + 1)
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(covered, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def symmetry(squares: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Squares (N, side, side, C) after `number` quarter turns; numbers from 4 on flip left-right first; a view."""
    turned = squares[:, :, ::-1] if number >= SYMMETRIES // 2 else squares
    return np.rot90(turned, number % 4, axes=(1, 2))


def inverse(number: int) -> int:
    """The symmetry that undoes this one: the opposite turn of a turn, and a reflection itself."""
    return number if number >= SYMMETRIES // 2 else -number % 4
