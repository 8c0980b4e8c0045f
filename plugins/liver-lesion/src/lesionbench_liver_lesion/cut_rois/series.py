"""Reading a DICOM series, the slices in a folder or one slice, as a scan."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesionbench import DatasetError, UnreadableImage
from lesionbench_liver_lesion.cut_rois.slice_file import SliceFile, is_dicom, modality_of, read_dataset, slice_of
from lesionbench_liver_lesion.cut_rois.volume import Grid, SliceName, Volume, make_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
GAP_TOLERANCE = 0.05  # of the usual distance between slices
SHIFT_TOLERANCE = 0.5  # of a pixel


def read_series(path: Path, chosen: str | None) -> Volume:
    """The scan in a DICOM file or folder; raises UnreadableImage or DatasetError that names it.

    chosen: the UID of the series to read, if the folder has several.
    """
    slices = _chosen_series(path, _ct_slices(path), chosen)
    _check_alike(slices)
    slices = sorted(slices, key=_height)
    step = _step(path, slices)
    affine = np.eye(4)
    affine[:3] = np.column_stack([slices[0].along_columns, slices[0].along_rows, step, slices[0].position])
    rows, columns = slices[0].shape
    grid = Grid((columns, rows, len(slices)), LPS_TO_RAS @ affine)
    hu = np.empty(grid.shape, np.float32)
    for index, one in enumerate(slices):
        hu[:, :, index] = _sized(one).T
    names = [_name(one, index) for index, one in enumerate(slices)]
    return make_volume(path, hu, grid, names, slices[0].series, _patient(path, slices))


def _ct_slices(path: Path) -> list[SliceFile]:
    """The CT slices in the file, or below the folder; other modalities in a folder are ignored."""
    if path.is_file():
        return [slice_of(path, read_dataset(path))]
    found = []
    for file in _files(path):
        if is_dicom(file):
            data = read_dataset(file)
            if modality_of(file, data) == "CT":
                found.append(slice_of(file, data))
    if not found:
        raise DatasetError(f"{path}: a scan's folder must hold CT slices (DICOM), but there is none")
    return found


def _files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise UnreadableImage(f"{error.filename}: the folder cannot be opened ({error.strerror})")

    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if not name.startswith(".") and name != "DICOMDIR"
    )


def _chosen_series(path: Path, slices: list[SliceFile], chosen: str | None) -> list[SliceFile]:
    by_series: dict[str, list[SliceFile]] = defaultdict(list)
    for one in slices:
        by_series[one.series].append(one)
    listed = "".join(f"\n  {uid}  ({len(files)} slices)" for uid, files in sorted(by_series.items()))
    if chosen is not None and chosen not in by_series:
        raise DatasetError(f"{path}: there is no series {chosen}; there is{listed}")
    if chosen is None and len(by_series) > 1:
        raise DatasetError(f"{path}: a scan is one series, but there are {len(by_series)}; add --series UID:{listed}")
    return by_series[chosen or slices[0].series]


def _check_alike(slices: list[SliceFile]) -> None:
    first = slices[0]
    for other in slices[1:]:
        for what, value, other_value in (
            ("rows and columns", first.shape, other.shape),
            ("directions and pixel spacing", first.along_columns, other.along_columns),
            ("directions and pixel spacing", first.along_rows, other.along_rows),
        ):
            if not np.allclose(value, other_value, atol=1e-3):
                raise UnreadableImage(
                    f"{other.path}: all slices of a series must have the same {what}, but those of {first.path.name} "
                    "differ; keep slices that do not belong to the scan out of the folder"
                )


def _height(one: SliceFile) -> float:
    return float(one.position @ one.normal)


def _step(path: Path, slices: list[SliceFile]) -> NDArray[np.float64]:
    """From one slice to the next in mm, (3,); raises DatasetError when the distance is not the same throughout."""
    first, last = slices[0], slices[-1]
    if len(slices) == 1:
        return first.normal  # a single slice may be of any thickness
    gaps = np.diff([_height(one) for one in slices])
    usual = float(np.median(gaps))
    for gap, below, above in zip(gaps, slices, slices[1:], strict=False):
        between = f"{path}: {below.path.name} and {above.path.name}"
        if gap < 1e-3:
            raise DatasetError(f"{between} show the same place; a scan has one slice a place: keep one phase only")
        if abs(gap - usual) > GAP_TOLERANCE * usual:
            raise DatasetError(
                f"{between} are {gap:g} mm apart, but other slices {usual:g} mm: slices are missing or unevenly "
                "spaced; complete the series, or give the slices as single files (with --annotations)"
            )
    step = np.asarray((last.position - first.position) / (len(slices) - 1))
    _check_straight(path, slices, step)
    return step


def _check_straight(path: Path, slices: list[SliceFile], step: NDArray[np.float64]) -> None:
    pixel = float(np.linalg.norm(slices[0].along_columns))
    for index, one in enumerate(slices):
        aside = one.position - slices[0].position - index * step
        if np.abs(aside - (aside @ one.normal) * one.normal).max() > SHIFT_TOLERANCE * pixel:
            raise DatasetError(
                f"{path}: slices must lie in one straight stack, but {one.path.name} is shifted sideways; "
                "give the slices as single files (with --annotations)"
            )


def _sized(one: SliceFile) -> NDArray[np.float32]:
    hu = one.hu()
    if hu.shape != one.shape:
        raise UnreadableImage(f"{one.path}: its pixel data have the shape {hu.shape}, but its header says {one.shape}")
    return hu


def _name(one: SliceFile, index: int) -> SliceName:
    number = one.header.get("InstanceNumber")
    shown = index if number in (None, "") else int(number)
    uid = str(one.header.SOPInstanceUID)
    names = {one.path.name, one.stem, uid} | (set() if number in (None, "") else {str(shown)})
    return SliceName(shown, uid, frozenset(names), one.stem)


def _patient(path: Path, slices: list[SliceFile]) -> str | None:
    """What the files say of whose scan it is, or None; raises DatasetError when they say two things."""
    for tag in ("PatientID", "PatientName"):
        said = {str(one.header.get(tag) or "").strip() for one in slices} - {""}
        if len(said) > 1:
            raise DatasetError(f"{path}: a series shows one patient, but its files have {len(said)} different {tag}s")
        if said:
            return f"{tag}:{said.pop()}"
    return None
