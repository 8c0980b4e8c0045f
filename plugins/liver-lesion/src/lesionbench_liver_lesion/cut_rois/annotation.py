"""Lesions from a table of centres and diameters, one lesion in each row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench import DatasetError, did_you_mean
from lesionbench.tables import read_rows
from lesionbench_liver_lesion.cut_rois.lesion import Lesion

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench_liver_lesion.cut_rois.settings import CutSettings
    from lesionbench_liver_lesion.cut_rois.volume import Volume

COLUMNS = ("series", "slice", "x", "y", "label")
DIAMETERS = ("diameter_mm", "diameter_px")
SQUARE = 0.01  # largest relative difference of a pixel's sides if diameters are in pixels


@dataclass(frozen=True)
class Annotation:
    """One row of the table.

    x, y: column and row of the lesion's centre in the slice as stored; the first pixel's centre is at 0.
    where: file and line, for messages.
    """

    where: str
    series: str
    slice_: str
    x: float
    y: float
    diameter: float
    in_pixels: bool
    label: str
    patient: str | None

    def lesion(self, volume: Volume) -> Lesion:
        """The lesion in its scan; raises DatasetError if it is outside the scan."""
        index = self._slice_index(volume)
        columns, rows, _ = volume.stored.shape
        if not (-0.5 <= self.x <= columns - 0.5 and -0.5 <= self.y <= rows - 0.5):
            raise DatasetError(
                f"{self.where}: a lesion must lie in its slice, but x={self.x:g}, y={self.y:g} is outside the "
                f"{columns} columns and {rows} rows of {volume.path}"
            )
        column, row, slice_ = volume.shown(self.x, self.y, index)
        return Lesion(self.label, slice_, row, column, self._diameter_mm(volume))

    def _slice_index(self, volume: Volume) -> int:
        fitting = [index for index, one in enumerate(volume.slices) if self.slice_ in one.names]
        if len(fitting) == 1:
            return fitting[0]
        numbers = [one.number for one in volume.slices]
        what = f"is none of the slices {min(numbers)} to {max(numbers)}" if not fitting else "names several slices"
        raise DatasetError(
            f"{self.where}: slice must be a DICOM slice's instance number or file name, or a NIfTI's third index "
            f"from 0, but {self.slice_!r} {what} of {volume.path}"
        )

    def _diameter_mm(self, volume: Volume) -> float:
        width, height, _ = volume.stored.spacing
        if self.in_pixels and abs(width - height) > SQUARE * max(width, height):
            raise DatasetError(
                f"{self.where}: the pixels of {volume.path} are not square ({width:g} x {height:g} mm), "
                "so a diameter must be in mm: use the column diameter_mm"
            )
        diameter = self.diameter * float(width) if self.in_pixels else self.diameter
        largest = max(volume.stored.shape[0] * width, volume.stored.shape[1] * height)
        if diameter > largest:
            raise DatasetError(
                f"{self.where}: a lesion must be smaller than its slice ({largest:.0f} mm), not {diameter:.0f} mm; "
                "is the diameter in pixels, or in mm?"
            )
        return diameter


def read_annotations(path: Path, settings: CutSettings) -> list[Annotation]:
    """All rows of the table; raises DatasetError that names the line and says what is wrong."""
    columns, rows = read_rows(path)
    _check_columns(path, columns)
    if not rows:
        raise DatasetError(f"{path}: a table of annotations needs one row per lesion, but has only its header")
    annotations = [_annotation(f"{path} line {line}", row, settings) for line, row in rows]
    if any(one.patient for one in annotations) and not all(one.patient for one in annotations):
        lacking = next(one.where for one in annotations if not one.patient)
        raise DatasetError(f"{lacking}: patient is empty; fill in every row, or leave the column out")
    return annotations


def _check_columns(path: Path, columns: list[str]) -> None:
    for name in COLUMNS:
        if name not in columns:
            raise DatasetError(
                f"{path}: there is no column {name!r}{did_you_mean(name, columns)} (columns: {', '.join(columns)}); "
                f"a table of annotations needs {', '.join(COLUMNS)} and diameter_mm or diameter_px"
            )
    if sum(name in columns for name in DIAMETERS) != 1:
        raise DatasetError(
            f"{path}: there must be one column diameter_mm or diameter_px, so that its unit is known "
            f"(columns: {', '.join(columns)})"
        )


def _annotation(where: str, row: dict[str, str], settings: CutSettings) -> Annotation:
    in_pixels = "diameter_px" in row
    column = "diameter_px" if in_pixels else "diameter_mm"
    for name in (*COLUMNS, column):
        if not row[name]:
            raise DatasetError(f"{where}: {name} is empty; every lesion needs one")
    diameter = _number(where, column, row[column])
    if diameter <= 0:
        raise DatasetError(f"{where}: {column} must be above 0, not {row[column]}")
    label = settings.check_class(row["label"], where)
    x, y = _number(where, "x", row["x"]), _number(where, "y", row["y"])
    patient = row.get("patient") or None
    return Annotation(where, row["series"], row["slice"], x, y, diameter, in_pixels, label, patient)


def _number(where: str, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{where}: {name} must be a number (with a point for decimals), not {text!r}")
    return number
