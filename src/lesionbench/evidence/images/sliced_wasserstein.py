"""The sliced Wasserstein distance of image patches at each pyramid level (Karras et al. 2017, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import correlate1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images

    Pixels = NDArray[np.float32]  # (N, H, W, C)

COARSEST = 16  # pixels; no pyramid level is smaller
PATCH = 7  # pixels
PATCHES = 128  # of each image
MOST_PATCHES = 1 << 15  # of all images; with more than 256 images, fewer of each
DIRECTIONS, REPEATS = 128, 4
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def levels_for(height: int, width: int) -> int:
    """How many pyramid levels images of this size (pixels) have; 0 below 16 pixels."""
    side, levels = min(height, width), 0
    while side >= COARSEST:
        side, levels = (side + 1) // 2, levels + 1
    return levels


def swd(one: Images, other: Images, rng: np.random.Generator) -> dict[int, float]:
    """For every pyramid level, by its side in pixels: 1000 times the sliced Wasserstein distance of its patches.

    The patches of each set are normalized to mean 0 and deviation 1 in each channel, so a difference in overall
    brightness or contrast does not count (Karras et al. 2017). one, other: uint8 (N, H, W, C), the same number of
    images, of at least 16 pixels.
    """
    assert len(one) == len(other)
    seed = int(rng.integers(2**63))
    found = {}
    for level in range(levels_for(*one.shape[1:3])):
        side, patches = patches_of(one, level, rng)
        _, others = patches_of(other, level, rng)
        found[side] = 1000 * distance(normalized(patches), normalized(others), np.random.default_rng([seed, level]))
    return found


def patches_of(images: Images, level: int, rng: np.random.Generator) -> tuple[int, NDArray[np.float32]]:
    """The level's shorter side in pixels, and random patches of it: (M, C, 7, 7), at most 128 of each image."""
    step = max(1, (1 << 22) // images[0].size)  # images whose pyramids are in memory at a time
    each = min(PATCHES, max(1, MOST_PATCHES // len(images)))
    parts = []
    for start in range(0, len(images), step):
        pixels = pyramid_level(images[start : start + step], level)
        parts.append(_cut(pixels, each, rng))
    return min(pixels.shape[1:3]), np.concatenate(parts)


def pyramid_level(images: Images, level: int) -> Pixels:
    """A level of the Laplacian pyramid (Burt & Adelson 1983): what the next coarser level lacks; the last is whole."""
    pixels = images.astype(np.float32)
    for _ in range(level):
        pixels = _down(pixels)
    if level + 1 == levels_for(*images.shape[1:3]):
        return pixels
    return pixels - _up(_down(pixels), pixels.shape[1:3])


def _down(pixels: Pixels) -> Pixels:
    smooth = correlate1d(correlate1d(pixels, BINOMIAL, axis=1, mode="mirror"), BINOMIAL, axis=2, mode="mirror")
    half: Pixels = smooth[:, ::2, ::2]
    return half


def _up(pixels: Pixels, size: tuple[int, ...]) -> Pixels:
    """The pixels enlarged to twice the side, interpolated smoothly."""
    spread = np.zeros((len(pixels), *size, pixels.shape[3]), np.float32)
    spread[:, ::2, ::2] = pixels
    filled: Pixels = correlate1d(
        correlate1d(spread, 2 * BINOMIAL, axis=1, mode="mirror"), 2 * BINOMIAL, axis=2, mode="mirror"
    )
    return filled


def _cut(pixels: Pixels, each: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """`each` patches at random positions of every image: (N * each, C, 7, 7)."""
    count, height, width, channels = pixels.shape
    tops, lefts = (rng.integers(size - PATCH + 1, size=(count, each)) for size in (height, width))
    windows = sliding_window_view(pixels, (PATCH, PATCH), axis=(1, 2))  # (N, H - 6, W - 6, C, 7, 7), a view
    cut: NDArray[np.float32] = windows[np.arange(count)[:, None], tops, lefts]
    return cut.reshape(-1, channels, PATCH, PATCH)


def normalized(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """The patches (M, C, 7, 7) as rows (M, C * 49); each channel has mean 0 and deviation 1, or is 0 if constant."""
    scaled = np.empty_like(patches)
    for channel in range(patches.shape[1]):
        values = patches[:, channel].astype(np.float64)
        values -= values.mean()
        spread = values.std()  # gray levels; less than a thousandth is the rounding error of a constant image
        scaled[:, channel] = values / spread if spread > 1e-3 else 0
    return scaled.reshape(len(patches), -1)


def distance(one: NDArray[np.float32], other: NDArray[np.float32], rng: np.random.Generator) -> float:
    """The mean one-dimensional Wasserstein distance over random directions; both have the same shape (M, D)."""
    found = []
    for _ in range(REPEATS):
        directions = rng.standard_normal((DIRECTIONS, one.shape[1]), np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        found.append(float(projected_distance(one, other, directions).mean()))
    return float(np.mean(found))


def projected_distance(
    one: NDArray[np.floating], other: NDArray[np.floating], directions: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The mean absolute difference of the sorted projections on each direction (K, D): (K,)."""
    ours, theirs = (np.sort(directions @ rows.T, axis=1) for rows in (one, other))
    means: NDArray[np.float64] = np.abs(ours - theirs).mean(axis=1, dtype=np.float64)
    return means
