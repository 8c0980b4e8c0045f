"""Near duplicates: two pictures of one thing, whatever the flip, the turn, the zoom and the light.

Every image is compared with every image of the larger parts by small copies of windows; the five most alike are
laid over it and compared in detail (`alignment.aligned_similarity`).
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

CANDIDATES = 5  # images of the other parts that are laid over an image
SMALLEST_SIDE, LARGEST_SIDE = 8, 64  # pixels, of the copies that are laid over each other
THUMBNAIL = 16  # pixels
GUIDE = (0.5, 2.0)  # pixels of a thumbnail
CENTRE: Window = (0.75, 0.125, 0.125)
ZOOMS = (0.5, 0.65625, 0.75, 0.875, 1.0)  # sides of the windows that are looked for
SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))  # of their middle from that of the image, in steps
STEP = 0.0625  # of the image's side
NO_DETAIL = 0.1  # grey levels, the length of a row
ROWS = 1024  # images compared with all others at a time
PAIRS = 512  # laid over each other at a time


@dataclass(frozen=True)
class Near:
    """Two images, their similarity, and the flip and turn of the first that is nearest to the second."""

    first: int
    second: int
    similarity: float
    symmetry: int


def near_duplicates(images: Images, parts: NDArray[np.int64], near: float) -> list[Near]:
    """The pairs of images of different parts whose similarity is at least `near`, in the order of their positions.

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
    """Each of these pairs laid over each other."""
    numbers, maps = _placed(grey, firsts, seconds)
    turned = np.stack([symmetry(small[[one]], number)[0] for one, number in zip(firsts, numbers, strict=True)])
    similar = aligned_similarity(turned, small[seconds], maps)
    for pair in zip(firsts.tolist(), seconds.tolist(), similar.tolist(), numbers.tolist(), strict=True):
        yield Near(*pair)


def _sides(parts: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The images of each part, some at a time, and those of all larger parts: every two parts meet once."""
    numbers, sizes = np.unique(parts, return_counts=True)
    order = numbers[np.argsort(sizes, kind="stable")]
    for position, number in enumerate(order[:-1]):
        rows, columns = np.flatnonzero(parts == number), np.flatnonzero(np.isin(parts, order[position + 1 :]))
        for start in range(0, len(rows), ROWS):
            yield rows[start : start + ROWS], columns


def _candidates(
    grey: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every row, the columns that are most alike: the positions of the firsts and of the seconds."""
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
    """Squares as rows of mean 0 and length 1; a row of zeros where there is no detail."""
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
    """Every window that lies within the image: at every zoom one in the middle, and one a step to each side."""
    moved = [
        (side, (1 - side) / 2 + STEP * down, (1 - side) / 2 + STEP * right) for side in ZOOMS for down, right in SHIFTS
    ]
    return tuple(window for window in moved if min(window[1:]) >= 0 and window[0] + max(window[1:]) <= 1)


WINDOWS = _windows()


def _placed(
    grey: Floats, firsts: NDArray[np.int64], seconds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For every pair the symmetry of the first, and the map that lays the second over it, that fit best."""
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
    """Where a window of an image lies after a symmetry of the image."""
    side, top, left = window
    if number >= SYMMETRIES // 2:
        left = 1 - side - left
    for _ in range(number % 4):  # a quarter turn to the left
        top, left = 1 - side - left, top
    return side, top, left


def _map(fixed: Window, moving: Window) -> NDArray[np.float64]:
    """The map (2, 3) that takes one window onto another, in coordinates from -1 to 1."""
    zoom = moving[0] / fixed[0]
    (x, y), (to_x, to_y) = ((2 * left + side - 1, 2 * top + side - 1) for side, top, left in (fixed, moving))
    return np.array([[zoom, 0, to_x - zoom * x], [0, zoom, to_y - zoom * y]])
