"""Near duplicates: two pictures of the same thing, in spite of flips, turns, zoom and lighting.

Small copies of windows are compared for each image and each image of the larger parts. The five most similar images are
then aligned with it and compared in detail (`alignment.aligned_similarity`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.alignment import aligned_similarity, detail
from lesionbench.evidence.images.thumbnails import SYMMETRIES, resampled, symmetry, thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images

    Floats = NDArray[np.float32]
    Window = tuple[float, float, float]  # side, top and left, as fractions of the image

CANDIDATES = 5  # images of the other parts that are aligned with an image
SMALLEST_SIDE, LARGEST_SIDE = 8, 64  # pixels, of the copies that are aligned
THUMBNAIL = 16  # pixels
GUIDE = (0.5, 2.0)  # pixels of a thumbnail
CENTRE: Window = (0.75, 0.125, 0.125)
ZOOMS = (0.5, 0.65625, 0.75, 0.875, 1.0)  # sides of the windows that are compared
SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))  # of the window's center from the image's center, in steps
STEP = 0.0625  # of the image's side
NO_DETAIL = 0.1  # gray levels, the norm of a row
ROWS = 1024  # images compared with all others at a time
PAIRS = 512  # aligned at a time


@dataclass(frozen=True)
class Near:
    """Two images, their similarity, and the symmetry of the first that matches the second best."""

    first: int
    second: int
    similarity: float
    symmetry: int


def near_duplicates(images: Images, parts: NDArray[np.int64], near: float) -> list[Near]:
    """The pairs of images in different parts with a similarity of at least `near`, ordered by position.

    images: uint8 (N, H, W, C).  parts: (N,), the number of the part of each.
    """
    side = min(LARGEST_SIDE, max(SMALLEST_SIDE, min(images.shape[1:3])))
    small = thumbnails(images, side)
    grey: Floats = small.mean(axis=3, keepdims=True)
    found: list[Near] = []
    for rows, columns in _sides(parts):
        firsts, seconds = _candidates(grey, rows, columns)
        for start in range(0, len(firsts), PAIRS):
            some = slice(start, start + PAIRS)
            found += [pair for pair in _compared(small, grey, firsts[some], seconds[some]) if pair.similarity >= near]
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _compared(small: Floats, grey: Floats, firsts: NDArray[np.int64], seconds: NDArray[np.int64]) -> Iterator[Near]:
    """Each of these pairs, aligned and compared."""
    numbers, maps = _placed(grey, firsts, seconds)
    turned = np.stack([symmetry(small[[one]], number)[0] for one, number in zip(firsts, numbers, strict=True)])
    similar = aligned_similarity(turned, small[seconds], maps)
    for pair in zip(firsts.tolist(), seconds.tolist(), similar.tolist(), numbers.tolist(), strict=True):
        yield Near(*pair)


def _sides(parts: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The images of each part, in blocks, and those of all larger parts, so that every two parts are compared once."""
    numbers, sizes = np.unique(parts, return_counts=True)
    order = numbers[np.argsort(sizes, kind="stable")]
    for position, number in enumerate(order[:-1]):
        rows, columns = np.flatnonzero(parts == number), np.flatnonzero(np.isin(parts, order[position + 1 :]))
        for start in range(0, len(rows), ROWS):
            yield rows[start : start + ROWS], columns


def _candidates(
    grey: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The most similar columns for every row, as positions of the first and of the second images."""
    centres, others = _eight(grey[rows], CENTRE), _rows(_squares(grey[columns], CENTRE)).T
    best = np.full((len(rows), len(columns)), -np.inf, np.float32)
    for window in WINDOWS:
        seen = _rows(_squares(grey[columns], window)).T
        for centre, turned in zip(centres, _eight(grey[rows], window), strict=True):
            np.maximum(best, centre @ seen, out=best)
            np.maximum(best, turned @ others, out=best)
    count = min(CANDIDATES, len(columns))
    nearest = np.argpartition(-best, count - 1, axis=1)[:, :count]
    return np.repeat(rows, count), columns[nearest.ravel()]


def _squares(grey: Floats, window: Window) -> Floats:
    """The detail of a window of grey images (N, side, side, 1), as thumbnails."""
    side, top, left = window
    return detail(resampled(grey, (top, top + side), (left, left + side), THUMBNAIL), GUIDE)


def _rows(squares: Floats) -> Floats:
    """Squares as rows with mean 0 and norm 1; a row without detail is all zeros."""
    rows = np.ascontiguousarray(squares).reshape(len(squares), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = rows / np.where(length > NO_DETAIL, length, np.inf)
    return unit


def _eight(grey: Floats, window: Window) -> list[Floats]:
    """The rows of a window under each symmetry."""
    squares = _squares(grey, window)
    return [_rows(symmetry(squares, number)) for number in range(SYMMETRIES)]


def _windows() -> tuple[Window, ...]:
    """All windows inside the image: for every zoom one in the center, and one shifted by a step to each side."""
    moved = [
        (side, (1 - side) / 2 + STEP * down, (1 - side) / 2 + STEP * right) for side in ZOOMS for down, right in SHIFTS
    ]
    return tuple(window for window in moved if min(window[1:]) >= 0 and window[0] + max(window[1:]) <= 1)


WINDOWS = _windows()


def _placed(
    grey: Floats, firsts: NDArray[np.int64], seconds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each pair, the best symmetry of the first image and the best map that aligns the second with it."""
    one, other = grey[firsts], grey[seconds]
    best = np.full(len(firsts), -np.inf, np.float32)
    numbers, maps = np.zeros(len(firsts), np.int64), np.zeros((len(firsts), 2, 3))
    centres, theirs = _eight(one, CENTRE), _rows(_squares(other, CENTRE))
    for window in WINDOWS:
        seen, turned = _rows(_squares(other, window)), _eight(one, window)
        for number in range(SYMMETRIES):
            fits = ((centres[number] * seen).sum(1), (turned[number] * theirs).sum(1))
            for fit, map_ in zip(fits, (_map(CENTRE, window), _map(_turned(window, number), CENTRE)), strict=True):
                better = fit > best
                best[better], numbers[better], maps[better] = fit[better], number, map_
    return numbers, maps


def _turned(window: Window, number: int) -> Window:
    """The position of a window after a symmetry is applied to the image."""
    side, top, left = window
    if number >= SYMMETRIES // 2:
        left = 1 - side - left
    for _ in range(number % 4):  # a quarter turn to the left
        top, left = 1 - side - left, top
    return side, top, left


def _map(fixed: Window, moving: Window) -> NDArray[np.float64]:
    """The map (2, 3) from one window to another, in coordinates from -1 to 1."""
    zoom = moving[0] / fixed[0]
    (x, y), (to_x, to_y) = ((2 * left + side - 1, 2 * top + side - 1) for side, top, left in (fixed, moving))
    return np.array([[zoom, 0, to_x - zoom * x], [0, zoom, to_y - zoom * y]])
