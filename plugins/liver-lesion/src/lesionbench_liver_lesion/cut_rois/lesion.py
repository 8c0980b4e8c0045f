"""The cross-section of a lesion: its place in a scan, its size and its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lesionbench_liver_lesion.cut_rois.mask import ClassMask
    from lesionbench_liver_lesion.cut_rois.volume import Volume


@dataclass(frozen=True)
class Lesion:
    """One cross-section.

    slice_, row, column: as shown, pixel centres at whole numbers; diameter: mm.
    """

    label: str
    slice_: int
    row: float
    column: float
    diameter: float


def lesions_in(mask: ClassMask, volume: Volume, every_slice: bool, min_diameter: float) -> tuple[list[Lesion], int]:
    """The lesions of a mask, and the number of those smaller than `min_diameter`.

    A lesion is a 3-D connected part (voxels that share a corner are connected). It gives its largest connected
    cross-section, or with `every_slice` all of them.
    """
    from scipy.ndimage import find_objects, label

    parts, _ = label(mask.marked, np.ones((3, 3, 3)))
    lesions, small = [], 0
    for number, box in enumerate(find_objects(parts), start=1):
        sections = list(_sections(parts[box] == number))
        if not every_slice:
            sections = [max(sections, key=lambda section: int(section[1].sum()))]
        for slice_, section in sections:
            found = _measured(mask.label, section, volume, tuple(one.start for one in box), slice_)
            lesions += [found] if found.diameter >= min_diameter else []
            small += found.diameter < min_diameter
    return lesions, small


def _sections(part: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The connected cross-sections of a 3-D part, each with its slice."""
    from scipy.ndimage import label

    for slice_, plane in enumerate(part):
        sections, count = label(plane, np.ones((3, 3)))
        for number in range(1, count + 1):
            yield slice_, sections == number


def _measured(name: str, section: NDArray[np.bool_], volume: Volume, start: tuple[int, ...], slice_: int) -> Lesion:
    """The lesion centred on the bounding box of its cross-section, so that the ROI contains all of it."""
    rows, columns = np.nonzero(section)
    row = start[1] + (rows.min() + rows.max()) / 2
    column = start[2] + (columns.min() + columns.max()) / 2
    between_columns, between_rows, _ = volume.grid.spacing
    return Lesion(name, start[0] + slice_, float(row), float(column), diameter(section, between_rows, between_columns))


def diameter(section: NDArray[np.bool_], between_rows: float, between_columns: float) -> float:
    """The largest distance between two corners of the marked pixels, in mm."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    marked = np.flatnonzero(section.any(axis=1))
    left = section[marked].argmax(axis=1)
    right = section.shape[1] - section[marked, ::-1].argmax(axis=1)
    edges = np.concatenate([np.column_stack([marked + below, side]) for below in (0, 1) for side in (left, right)])
    corners = edges * [between_rows, between_columns]
    return float(pdist(corners[ConvexHull(corners).vertices]).max())
