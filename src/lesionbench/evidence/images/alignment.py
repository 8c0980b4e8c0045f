"""Aligning one picture with another by an affine map, and the similarity of their fine detail."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.thumbnails import thumbnails

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Maps = NDArray[np.float64]  # (N, 2, 3): maps a point (x, y, 1) of the fixed picture into the moving one

COARSE = 32  # pixels; the side of the pictures in the first steps
COARSE_STEPS, FINE_STEPS = 14, 6
GUIDE = (1.0, 4.0)  # pixels; the scales of detail used for the alignment
DETAIL = (0.7 / 64, 3 / 64)  # of the side; the scales of detail that are compared after the alignment
LEAST_OVERLAP = 0.25  # of the fixed picture
LARGEST_ZOOM = 2.25  # a factor, larger or smaller
CHUNK = 128  # pairs at a time: 64 x 64 pixels with six derivatives take 12 MB


def aligned_similarity(fixed: Floats, moving: Floats, start: Maps) -> NDArray[np.float64]:
    """The similarity of the detail of each pair after the moving picture is aligned with the fixed one: (N,), in -1..1.

    fixed, moving: (N, side, side, C).  start: (N, 2, 3), maps that are correct to within a few pixels; coordinates
    run from -1 to 1. The similarity is the correlation of the detail (the difference of two Gaussian blurs, of 0.7
    and 3 pixels at a side of 64) over the part of the fixed picture that the moving one covers, with the mean of each
    channel removed. It is 0 if that part is less than a quarter, if the zoom is larger than 2.25, or if there is no
    detail.
    """
    chunks = [slice(at, at + CHUNK) for at in range(0, len(fixed), CHUNK)]

    def similarities(some: slice) -> NDArray[np.float64]:
        return _similarities(fixed[some], moving[some], start[some])

    with ThreadPoolExecutor(
        max_workers=min(4, os.cpu_count() or 1)
    ) as pool:  # numpy releases the GIL, so threads run in parallel
        return np.concatenate([np.zeros(0), *pool.map(similarities, chunks)])


def _similarities(fixed: Floats, moving: Floats, maps: Maps) -> NDArray[np.float64]:
    side = fixed.shape[1]
    if side > COARSE:
        maps = _improved(_grey(_shrunk(fixed)), _grey(_shrunk(moving)), maps, COARSE_STEPS)
    maps = _improved(_grey(fixed), _grey(moving), maps, FINE_STEPS if side > COARSE else COARSE_STEPS)
    laid, covered = _warped(moving, maps)
    laid = np.where(covered[..., None], laid, fixed)  # else the edge of the covered part would count as detail
    fine, coarse = (share * side for share in DETAIL)
    similar = _correlation(detail(fixed, (fine, coarse)), detail(laid, (fine, coarse)), covered)
    zoom = np.abs(np.linalg.det(maps[:, :, :2]))
    usable = (covered.mean(axis=(1, 2)) >= LEAST_OVERLAP) & (zoom < LARGEST_ZOOM**2) & (zoom > LARGEST_ZOOM**-2)
    return np.where(usable, similar, 0.0)


def _shrunk(pictures: Floats) -> Floats:
    return thumbnails(pictures, COARSE)  # type: ignore[arg-type]  # it accepts floats too


def _grey(pictures: Floats) -> Floats:
    grey: Floats = pictures.mean(axis=3, keepdims=True)
    return grey


def detail(pictures: Floats, scales: tuple[float, float]) -> Floats:
    """The detail between two scales, in pixels, of pictures (N, H, W, C): the difference of two Gaussian blurs."""
    from scipy.ndimage import gaussian_filter

    fine, coarse = (gaussian_filter(pictures, (0, sigma, sigma, 0), mode="nearest", truncate=3) for sigma in scales)
    difference: Floats = fine - coarse
    return difference


def _improved(fixed: Floats, moving: Floats, maps: Maps, steps: int) -> Maps:
    """The maps after this many Gauss-Newton steps (inverse compositional; Baker and Matthews 2004, section 3.2)."""
    target, source = detail(fixed, GUIDE), detail(moving, GUIDE)
    count, side = target.shape[:2]
    slopes = _slopes(target[..., 0])  # (N, 6, P)
    flat = target.reshape(count, -1)
    for _ in range(steps):
        laid, covered = _warped(source, maps)
        inside = covered.reshape(count, -1).astype(np.float32)
        change = _step(flat, laid.reshape(count, side * side), inside, slopes)
        maps = _composed(maps, change)
    return maps


def _step(target: Floats, laid: Floats, inside: Floats, slopes: Floats) -> NDArray[np.float64]:
    """The change of the six parameters of each map that brings the aligned picture closest to the target: (N, 6)."""
    goal, found = _standard(target, inside), _standard(laid, inside)
    scale = np.sqrt((target**2 * inside).sum(1, keepdims=True) / np.maximum(inside.sum(1, keepdims=True), 1))
    missing = (found - goal) * scale * inside
    weighted = slopes * inside[:, None]
    normal = (weighted @ slopes.transpose(0, 2, 1)).astype(np.float64)
    wanted = (weighted @ missing[..., None])[..., 0].astype(np.float64)
    ridge = 1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 6 + 1e-6
    change: NDArray[np.float64] = np.linalg.solve(normal + ridge * np.eye(6), wanted[..., None])[..., 0]
    return np.clip(change, -0.15, 0.15)


def _standard(values: Floats, inside: Floats) -> Floats:
    """Rows with mean 0 and variance 1 over the inside; constant rows are 0."""
    count = np.maximum(inside.sum(1, keepdims=True), 1)
    centred = (values - (values * inside).sum(1, keepdims=True) / count) * inside
    spread = np.sqrt((centred**2).sum(1, keepdims=True) / count)
    standard: Floats = centred / np.maximum(spread, 1e-3)  # a thousandth of a gray level is no detail
    return standard


def _slopes(target: Floats) -> Floats:
    """The derivative of every pixel of (N, side, side) by each of a map's six parameters: (N, 6, side * side)."""
    count, side, _ = target.shape
    up, across = np.gradient(target, 2 / side, axis=(1, 2))
    x, y = _grid(side)
    slopes = [across * x, across * y, across, up * x, up * y, up]
    return np.stack([slope.reshape(count, -1) for slope in slopes], axis=1).astype(np.float32)


def _grid(side: int) -> tuple[Floats, Floats]:
    """The coordinates x and y of the pixels' centres, from -1 to 1: (side, side) each."""
    middle = ((2 * np.arange(side) + 1) / side - 1).astype(np.float32)
    y, x = np.meshgrid(middle, middle, indexing="ij")
    return x, y


def _composed(maps: Maps, change: NDArray[np.float64]) -> Maps:
    """The maps after the inverse of a small change."""
    step = change.reshape(-1, 2, 3)
    inverse = np.linalg.inv(np.eye(2) + step[:, :, :2])
    linear = maps[:, :, :2] @ inverse
    shift = maps[:, :, 2:] - linear @ step[:, :, 2:]
    return np.concatenate([linear, shift], axis=2)


def _warped(pictures: Floats, maps: Maps) -> tuple[Floats, NDArray[np.bool_]]:
    """The pictures (N, side, side, C) mapped with bilinear interpolation, and the covered part: (N, side, side)."""
    count, side, _, channels = pictures.shape
    x, y = _grid(side)
    points = np.stack([x.ravel(), y.ravel(), np.ones(side * side)]).astype(np.float32)  # (3, P)
    placed = (maps.astype(np.float32) @ points + 1) * (side / 2) - 0.5  # (N, 2, P) in pixels
    covered = ((placed >= 0) & (placed <= side - 1)).all(axis=1)
    placed = np.clip(np.nan_to_num(placed), 0, side - 1 - 1e-3)
    corner = placed.astype(np.int32)
    part = placed - corner
    right, down = part[:, 0, :, None], part[:, 1, :, None]
    flat = pictures.reshape(count * side * side, channels)
    at = corner[:, 1] * side + corner[:, 0] + (np.arange(count) * side * side)[:, None]
    top = flat[at] * (1 - right) + flat[at + 1] * right
    bottom = flat[at + side] * (1 - right) + flat[at + side + 1] * right
    laid = (top * (1 - down) + bottom * down).reshape(count, side, side, channels)
    return laid, covered.reshape(count, side, side)


def _correlation(one: Floats, other: Floats, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The correlation of pictures (N, side, side, C) over the inside, with channel means removed: (N,)."""
    weight = inside[..., None].astype(np.float64)
    count = np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1)
    one, other = (
        (values - (values * weight).sum(axis=(1, 2), keepdims=True) / count) * weight for values in (one, other)
    )
    size = np.sqrt((one**2).sum(axis=(1, 2, 3)) * (other**2).sum(axis=(1, 2, 3)))
    least = 1e-3 * weight.sum(axis=(1, 2, 3)) + 1e-9  # without detail, the similarity is 0
    return np.where(size > least, (one * other).sum(axis=(1, 2, 3)) / np.maximum(size, least), 0.0)
