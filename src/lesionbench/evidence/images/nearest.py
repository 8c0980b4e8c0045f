"""Nearest neighbors between two sets of small square images, under the eight flips and turns.

The distance of two images is the root-mean-square difference of their thumbnails' pixels, in gray levels (0 to 255),
minimized over the eight ways to flip and turn one of the two.

Inner products with all eight cost only as much as two: an image is split along rows and columns into even and odd
parts, which gives four parts, and a flip only changes their signs. The candidates found with these float32 products
are measured again pixel by pixel, because |a|² + |b|² - 2ab is inexact near zero; so an exact copy has distance 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.thumbnails import SYMMETRIES, symmetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Squares = NDArray[np.float32]  # (N, side, side, C), 0..255
    Parts = tuple[NDArray[np.float32], ...]  # even-even, even-odd, odd-even, odd-odd: (N, D') each

AT_ONCE = 4_000_000  # pairs compared at a time: 16 MB for each array
PIXELS_AT_ONCE = 200_000  # measured again at a time
CANDIDATES = 8  # measured again at most, for each image
ROUNDING = 1e-5  # of |a|² + |b|²: far above the rounding error of float32 products


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each of N images, the nearest of the others and its distance.

    index: int64 (N,), -1 if there is none.  distance: float64 (N,), infinite if there is none.
    second: float64 (N,), the distance of the second nearest, infinite if there is none or it was not requested.
    turned: int64 (N,), the number of the `symmetry` of the nearest image that has this distance.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    second: NDArray[np.float64]
    turned: NDArray[np.int64]


def nearest(ones: Squares, others: Squares, *, seconds: bool = False) -> Nearest:
    """For each of `ones`, the nearest of `others`; both are thumbnails, (N, side, side, C) and (M, side, side, C).

    seconds: measure the second nearest too, which doubles the time of exact measuring.
    """
    found = _Candidates(ones, others, 2 if seconds else 1)
    for start, squared, rounding in _distances(ones, others):
        found.add_rows(start, squared, rounding)
    return found.measured()


def nearest_other(squares: Squares) -> Nearest:
    """For each image, the nearest of all the other images of the same set."""
    found = _Candidates(squares, squares, 1)
    for start, squared, rounding in _distances(squares, squares):
        rows = np.arange(len(squared))
        squared[rows, start + rows] = np.inf  # an image is not its own neighbor
        found.add_rows(start, squared, rounding)
    return found.measured()


def nearest_both(ones: Squares, others: Squares, *, seconds: bool = False) -> tuple[Nearest, Nearest]:
    """For each of `ones` the nearest of `others` (see `nearest`), and for each of `others` the nearest of `ones`."""
    forth, back = _Candidates(ones, others, 2 if seconds else 1), _Candidates(others, ones, 1)
    for start, squared, rounding in _distances(ones, others):
        forth.add_rows(start, squared, rounding)
        back.add_columns(start, squared, rounding)
    return forth.measured(), back.measured()


def _distances(ones: Squares, others: Squares) -> Iterator[tuple[int, NDArray[np.float32], float]]:
    """Blocks of rows: the first row, the approximate squared distances (n, M), and a bound on their error."""
    if not len(ones) or not len(others):
        return
    centre = others.mean(axis=(0, 1, 2), dtype=np.float64).astype(
        np.float32
    )  # smaller norms have smaller rounding errors
    of_others = _parts(others - centre)
    turned = _turned(of_others, others.shape)
    norms = _norms(of_others)
    step = max(1, AT_ONCE // len(others))
    for start in range(0, len(ones), step):
        block = _parts(ones[start : start + step] - centre)
        lengths = _norms(block)
        product = np.maximum(_best_flip(block, of_others), _best_flip(block, turned))
        product *= -2
        product += lengths[:, None]
        product += norms
        yield start, product, ROUNDING * float(lengths.max() + norms.max())


def _parts(squares: Squares) -> Parts:
    """The four parts of each image: even or odd along its rows, even or odd along its columns."""
    even, odd = _halves(squares.shape[1])
    parts = []
    for rows in (even, odd):
        along = np.einsum("pi,nijc->npjc", rows, squares, optimize=True)
        for columns in (even, odd):
            part = np.einsum("qj,npjc->npqc", columns, along, optimize=True)
            parts.append(_flat(part))
    return tuple(parts)


def _flat(part: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(part).reshape(len(part), int(np.prod(part.shape[1:])))


def _halves(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Orthonormal bases of the parts that a flip keeps and that it negates, (p, side) and (q, side)."""
    unit = np.eye(side)
    flipped = unit[::-1]
    even, odd = (unit + flipped)[: (side + 1) // 2], (unit - flipped)[: side // 2]
    even, odd = (half / np.linalg.norm(half, axis=1, keepdims=True) for half in (even, odd))
    return even.astype(np.float32), odd.astype(np.float32)


def _turned(parts: Parts, shape: tuple[int, ...]) -> Parts:
    """The parts of the same images with rows and columns exchanged."""
    side, channels = shape[1], shape[3]
    lengths = ((side + 1) // 2, side // 2)
    sizes = [(rows, columns) for rows in lengths for columns in lengths]
    exchanged = [
        _flat(part.reshape(len(part), *size, channels).transpose(0, 2, 1, 3))
        for part, size in zip(parts, sizes, strict=True)
    ]
    return exchanged[0], exchanged[2], exchanged[1], exchanged[3]


def _best_flip(ones: Parts, others: Parts) -> NDArray[np.float32]:
    """The largest inner product over the four flips of one of the two, (n, M).

    A flip of the rows negates the odd-even and the odd-odd product, a flip of the columns the even-odd and the odd-odd
    product.
    """
    even, right, down, odd = (one @ other.T for one, other in zip(ones, others, strict=True))
    alike, unlike = np.abs(right + down), np.abs(right - down)
    alike += even
    alike += odd
    unlike += even
    unlike -= odd
    return np.maximum(alike, unlike, out=alike)


def _norms(parts: Parts) -> NDArray[np.float32]:
    norms: NDArray[np.float32] = np.sum([np.einsum("nd,nd->n", part, part) for part in parts], axis=0, dtype=np.float32)
    return norms


class _Candidates:
    """For each of `ones`, the few of `others` that can be its nearest one or two (`wanted`)."""

    def __init__(self, ones: Squares, others: Squares, wanted: int) -> None:
        self.ones, self.others, self.wanted = ones, others, wanted
        self.found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []  # whose, which, about
        self.rounding = 0.0

    def add_rows(self, start: int, squared: NDArray[np.float32], rounding: float) -> None:
        """Add the nearest of each row; the rows are `ones` from `start` on, the columns all the others."""
        which = _smallest(squared)
        whose = np.broadcast_to(start + np.arange(len(squared))[:, None], which.shape)
        self._add(whose, which, np.take_along_axis(squared, which, axis=1), rounding)

    def add_columns(self, start: int, squared: NDArray[np.float32], rounding: float) -> None:
        """Add the nearest of each column; the columns are all `ones`, the rows the others from `start` on."""
        columns = np.ascontiguousarray(squared.T)
        which = _smallest(columns)
        whose = np.broadcast_to(np.arange(len(columns))[:, None], which.shape)
        self._add(whose, start + which, np.take_along_axis(columns, which, axis=1), rounding)

    def _add(
        self, whose: NDArray[np.int64], which: NDArray[np.int64], about: NDArray[np.float32], rounding: float
    ) -> None:
        finite = np.isfinite(about)
        self.found.append((whose[finite], which[finite], about[finite]))
        self.rounding = max(self.rounding, rounding)

    def measured(self) -> Nearest:
        """The nearest by exact distance; the first of several at the same distance."""
        count = len(self.ones)
        result = Nearest(np.full(count, -1), np.full(count, np.inf), np.full(count, np.inf), np.zeros(count, np.int64))
        whose, which = self._worth_measuring()
        distance, turned = _measured(self.ones, self.others, whose, which)
        order = np.lexsort((which, distance, whose))
        whose, which, distance, turned = whose[order], which[order], distance[order], turned[order]
        owners, first = np.unique(whose, return_index=True)
        result.index[owners], result.distance[owners] = which[first], distance[first]
        result.turned[owners] = turned[first]
        if self.wanted == 1:
            return result
        further = first + 1
        has_second = further < np.append(first[1:], len(whose))
        result.second[owners[has_second]] = distance[further[has_second]]
        return result

    def _worth_measuring(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs (whose, which) that can be nearest neighbors, at most CANDIDATES for each image."""
        if not self.found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        whose, which, about = (np.concatenate(arrays) for arrays in zip(*self.found, strict=True))
        order = np.lexsort((which, about, whose))
        whose, which, about = whose[order], which[order], about[order]
        _, first, counts = np.unique(whose, return_index=True, return_counts=True)
        rank = np.arange(len(whose)) - np.repeat(first, counts)
        last = about[first + np.minimum(self.wanted, counts) - 1]
        near = about <= np.repeat(last, counts) + self.rounding
        chosen = near & (rank < CANDIDATES)
        return whose[chosen], which[chosen]


def _smallest(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """The positions of the CANDIDATES smallest values of each row, in no particular order."""
    if rows.shape[1] <= CANDIDATES:
        return np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    return np.argpartition(rows, CANDIDATES, axis=1)[:, :CANDIDATES]


def _measured(
    ones: Squares, others: Squares, whose: NDArray[np.int64], which: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The distance of each pair, float64 (P,), and the number of the symmetry of `others` that gives it."""
    size = int(np.prod(ones.shape[1:]))
    step = max(1, PIXELS_AT_ONCE // size)
    squared, turned = np.zeros(len(whose)), np.zeros(len(whose), np.int64)
    for start in range(0, len(whose), step):
        block = slice(start, start + step)
        one, other = ones[whose[block]], others[which[block]]
        apart = [_apart(one, symmetry(other, number)) for number in range(SYMMETRIES)]
        turned[block], squared[block] = np.argmin(apart, axis=0), np.min(apart, axis=0)
    return np.sqrt(squared / size), turned


def _apart(ones: Squares, others: Squares) -> NDArray[np.float32]:
    """The squared distance of each of N images to its counterpart, (N,): exactly 0 if equal, else to 6 digits."""
    difference = np.subtract(ones, others, order="C").reshape(len(ones), -1)
    squared: NDArray[np.float32] = np.einsum("nd,nd->n", difference, difference)
    return squared
