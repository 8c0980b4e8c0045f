"""Regions of interest: a square of tissue around a lesion, as HU and as a grey image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lesionbench_liver_lesion.cut_rois.settings import AIR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench_liver_lesion.cut_rois.lesion import Lesion
    from lesionbench_liver_lesion.cut_rois.settings import CutSettings
    from lesionbench_liver_lesion.cut_rois.volume import Volume


@dataclass(frozen=True, eq=False)
class Roi:
    """A square in mm around a lesion, before windowing.

    hu: float32 (rows, columns), every pixel of the slice that the square touches; air outside the slice.
    box: left, top, right, bottom of the square in `hu`, in pixels from its outer corner; not whole numbers.
    outside: the fraction of `hu` that is outside the slice. side: of the square, in mm.
    """

    hu: NDArray[np.float32]
    box: tuple[float, float, float, float]
    outside: float
    side: float


def cut(volume: Volume, lesion: Lesion, margin: float) -> Roi:
    """The ROI centred on a lesion; its side is the diameter plus the margin on both sides."""
    side = lesion.diameter * (1 + 2 * margin)
    between_columns, between_rows, _ = volume.grid.spacing
    left, right = _span(lesion.column, side / between_columns)
    top, bottom = _span(lesion.row, side / between_rows)
    first_row, first_column = math.floor(top), math.floor(left)
    rows = np.arange(first_row, math.ceil(bottom))
    columns = np.arange(first_column, math.ceil(right))
    plane = volume.hu[lesion.slice_]
    inside = np.ix_((rows >= 0) & (rows < plane.shape[0]), (columns >= 0) & (columns < plane.shape[1]))
    hu = np.full((len(rows), len(columns)), AIR, np.float32)
    hu[inside] = plane[np.ix_(rows[inside[0].ravel()], columns[inside[1].ravel()])]
    box = (left - first_column, top - first_row, right - first_column, bottom - first_row)
    return Roi(hu, box, 1 - inside[0].size * inside[1].size / hu.size, side)


def _span(centre: float, length: float) -> tuple[float, float]:
    """Start and end, in pixels from the outer edge of the first pixel, rounded to 1/10,000 of a pixel."""
    # Without rounding, the last bits of the header's 32-bit numbers would decide whether a row is touched.
    return round(centre + 0.5 - length / 2, 4), round(centre + 0.5 + length / 2, 4)


def grey(roi: Roi, settings: CutSettings) -> NDArray[np.uint8]:
    """The ROI windowed, then resized bicubic: uint8 (size, size), 0 below the window, 255 above it."""
    lowest = settings.window_level - settings.window_width / 2
    shades = np.clip((roi.hu - lowest) / settings.window_width, 0, 1).astype(np.float32) * 255
    size = (settings.size, settings.size)
    resized = Image.fromarray(shades).resize(size, Image.Resampling.BICUBIC, box=roi.box)
    return np.asarray(np.clip(np.rint(np.asarray(resized)), 0, 255), np.uint8)
