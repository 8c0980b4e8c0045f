"""A CT scan as a stack of axial slices in HU, oriented as radiologists view it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench import UnreadableImage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SHOWN = ("L", "P", "S")  # columns run to the patient's left, rows to the back, slices upwards
GRID_TOLERANCE = 0.1  # of a pixel; rounding in headers is well below this
LARGEST_HU, SMALLEST_HU = 32767.0, -32768.0
SMALLEST_VOXEL = 1e-9  # mm³
AIR_EXPECTED = -200.0  # HU; any scan that shows the skin goes lower


@dataclass(frozen=True, eq=False)
class Grid:
    """The positions of voxels: the numbers of columns, rows and slices, and the map from indices to mm.

    affine: float64 (4, 4), from (column, row, slice) to millimetres right, anterior, superior; at voxel centres.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Millimetres between columns, rows and slices, (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def to_mm(self, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The positions of voxel coordinates (N, 3)."""
        return np.asarray(voxels @ self.affine[:3, :3].T + self.affine[:3, 3])

    def from_mm(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The voxel coordinates of positions (N, 3)."""
        return np.asarray((positions - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T)

    def corners(self) -> NDArray[np.float64]:
        """The coordinates of the corner voxels, (8, 3)."""
        return np.asarray(np.indices((2, 2, 2)).reshape(3, 8).T * (np.array(self.shape, float) - 1))

    def is_like(self, other: Grid) -> bool:
        """Whether both have the same voxels at the same positions, within a tenth of a pixel."""
        if self.shape != other.shape:
            return False
        apart = np.abs(self.to_mm(self.corners()) - other.to_mm(self.corners())).max()
        return bool(apart <= GRID_TOLERANCE * self.spacing.min())


@dataclass(frozen=True, eq=False)
class SliceName:
    """The names a user may give a slice, the number that outputs may show, and a unique key (a secret)."""

    number: int
    key: str
    names: frozenset[str] = frozenset()
    stem: str = ""  # the name of its file without .dcm


@dataclass(frozen=True, eq=False)
class Volume:
    """One scan.

    hu: float32 (slices, rows, columns) as shown: row 0 anterior, column 0 at the patient's right, slice 0 lowest.
    grid: of `hu`; stored: the grid of the file, in which annotations and PNG masks are given.
    slices: the slices of `stored`, in its order. series, patient: secrets, to be hashed; patient is None if unknown.
    """

    path: Path
    hu: NDArray[np.float32]
    grid: Grid
    stored: Grid
    slices: tuple[SliceName, ...]
    series: str
    patient: str | None

    def slice_name(self, shown: int) -> SliceName:
        """The name of a shown slice."""
        if len(self.slices) != len(self.hu):  # not stored as axial slices: counted as shown
            return SliceName(shown, str(shown))
        centre = np.array([[*(np.array(self.grid.shape[:2], float) - 1) / 2, shown]])
        return self.slices[round(float(self.stored.from_mm(self.grid.to_mm(centre))[0, 2]))]

    def shown(self, column: float, row: float, slice_: float) -> tuple[float, float, int]:
        """The column, row and slice as shown, from those as stored."""
        place = self.grid.from_mm(self.stored.to_mm(np.array([[column, row, slice_]], float)))[0]
        return float(place[0]), float(place[1]), round(float(place[2]))

    @property
    def note(self) -> str | None:
        """A doubt about the values, or None."""
        lowest = float(self.hu.min())
        if lowest < AIR_EXPECTED:
            return None
        return f"{self.path}: no voxel is below {lowest:g} HU, so there is no air in it; make sure that it holds HU"


def make_volume(
    path: Path,
    hu: NDArray[np.float32],
    stored: Grid,
    slices: Sequence[SliceName],
    series: str,
    patient: str | None,
) -> Volume:
    """The volume of values (columns, rows, slices) as stored; raises UnreadableImage if they cannot be HU."""
    _check_range(path, hu)
    shown, grid = as_shown(hu, stored, path)
    return Volume(path, shown, grid, stored, tuple(slices), series, patient)


def as_shown(array: NDArray[Any], stored: Grid, path: Path) -> tuple[NDArray[Any], Grid]:
    """The array (columns, rows, slices), reoriented to (slices, rows, columns) as shown, and its grid."""
    from nibabel import orientations

    turning: Any = orientations  # nibabel's functions have no types

    usable = np.isfinite(stored.affine).all() and abs(np.linalg.det(stored.affine[:3, :3])) > SMALLEST_VOXEL
    axes = turning.io_orientation(stored.affine) if usable else np.full((3, 2), np.nan)
    if not np.isfinite(axes).all():
        raise UnreadableImage(
            f"{path}: its orientation and spacing must span a volume, but they do not; export it again"
        )
    turn = turning.ornt_transform(axes, turning.axcodes2ornt(SHOWN))
    affine = stored.affine @ turning.inv_ornt_aff(turn, stored.shape)
    turned = turning.apply_orientation(array, turn)
    columns, rows, slices = turned.shape
    return np.ascontiguousarray(turned.transpose(2, 1, 0)), Grid((columns, rows, slices), affine)


def _check_range(path: Path, hu: NDArray[np.float32]) -> None:
    if not np.isfinite(hu).all():
        raise UnreadableImage(f"{path}: every voxel must be a number, but {int((~np.isfinite(hu)).sum())} are not")
    lowest, highest = float(hu.min()), float(hu.max())
    if lowest < SMALLEST_HU or highest > LARGEST_HU:
        raise UnreadableImage(
            f"{path}: HU must lie in {SMALLEST_HU:.0f} to {LARGEST_HU:.0f}, not {lowest:.0f} to {highest:.0f}; "
            "most likely signed 16-bit values were stored as unsigned ones: export the scan again"
        )
    if lowest == highest:
        raise UnreadableImage(f"{path}: a scan must show something, but every voxel is {lowest:g}")
