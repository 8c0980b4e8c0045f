"""Masks: which voxels of a scan belong to lesions, from NIfTI, NRRD, DICOM SEG or PNG files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench import DatasetError, UnreadableImage
from lesionbench_liver_lesion.cut_rois import nifti
from lesionbench_liver_lesion.cut_rois.mask_nrrd import read_nrrd
from lesionbench_liver_lesion.cut_rois.mask_png import read_pngs
from lesionbench_liver_lesion.cut_rois.mask_seg import read_seg
from lesionbench_liver_lesion.cut_rois.slice_file import is_dicom
from lesionbench_liver_lesion.cut_rois.volume import Grid, Volume, as_shown

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench_liver_lesion.cut_rois.settings import CutSettings

Layers = dict[int, "NDArray[np.bool_]"]  # mask value to (columns, rows, slices) as stored
MOST_VALUES = 1000  # a file with more values is a scan, not a mask


@dataclass(frozen=True, eq=False)
class ClassMask:
    """The voxels of one class: bool (slices, rows, columns) as shown."""

    label: str
    marked: NDArray[np.bool_]


def read_mask(
    path: Path, volume: Volume, settings: CutSettings, label: str | None
) -> tuple[list[ClassMask], list[str]]:
    """The mask of each class, and notes on values that were ignored.

    label: the class of the whole mask; None: `settings.mask_labels` gives each value's class.
    Raises DatasetError if the mask is empty or on another grid, UnreadableImage if a file is damaged.
    """
    layers, grid = _read_layers(path, volume)
    present = sorted(value for value, layer in layers.items() if layer.any())
    if not present:
        raise DatasetError(f"{path}: a mask must mark something, but this one is empty; leave it out")
    labels = dict.fromkeys(present, label) if label is not None else settings.mask_labels
    wanted = [value for value in present if labels.get(value)]
    if not wanted:
        raise DatasetError(
            f"{path}: none of the mask's values ({_listed(present)}) has a class; add --mask-label {present[0]}=CLASS"
        )
    names = sorted({str(labels[value]) for value in wanted})
    masks = [
        _class_mask(path, name, [layers[value] for value in wanted if labels[value] == name], grid) for name in names
    ]
    for mask, shown_grid in masks:
        _check_grid(path, shown_grid, volume)
        _check_shape(path, mask.marked.shape, volume)
    passed = [value for value in present if value not in wanted]
    notes = [f"{path}: mask values without a --mask-label were ignored: {_listed(passed)}"] if passed else []
    return [mask for mask, _ in masks], notes


def _class_mask(path: Path, label: str, layers: list[NDArray[np.bool_]], grid: Grid) -> tuple[ClassMask, Grid]:
    marked, shown = as_shown(np.logical_or.reduce(layers), grid, path)
    return ClassMask(label, marked), shown


def _read_layers(path: Path, volume: Volume) -> tuple[Layers, Grid]:
    try:
        if path.is_dir() or path.suffix.lower() == ".png":
            return read_pngs(path, volume), volume.stored
        if nifti.is_nifti(path):
            values, grid = nifti.read_array(path)
            return layers_of(path, values), grid
        if path.name.lower().endswith((".nrrd", ".nhdr")):
            values, grid = read_nrrd(path)
            return layers_of(path, values), grid
        if is_dicom(path):
            return read_seg(path, volume), volume.stored
    except OSError as error:
        raise UnreadableImage(f"{path}: the mask cannot be opened ({error.strerror or error})") from None
    raise DatasetError(f"{path}: a mask must be NIfTI, NRRD, DICOM SEG or PNG, but this is none of them")


def layers_of(path: Path, values: NDArray[Any]) -> Layers:
    """A layer a value above 0; raises UnreadableImage when the values are not few whole numbers from 0 on."""
    found = np.unique(values)
    if not np.isfinite(found).all() or (found < 0).any() or (found != np.round(found)).any():
        raise UnreadableImage(f"{path}: a mask holds whole numbers from 0 on, but this file does not; is it the scan?")
    if len(found) > MOST_VALUES:
        raise UnreadableImage(f"{path}: a mask holds a few values, but this file {len(found)}; is it the scan?")
    return {int(value): values == value for value in found if value > 0}


def _check_shape(path: Path, shape: tuple[int, ...], volume: Volume) -> None:
    if shape != volume.hu.shape:
        raise _another_grid(path, volume, f"its shape is {shape}, the scan's {volume.hu.shape} (slices, rows, columns)")


def _check_grid(path: Path, grid: Grid, volume: Volume) -> None:
    _check_shape(path, grid.shape[::-1], volume)
    if not grid.is_like(volume.grid):
        first, other = (np.round(one.to_mm(np.zeros((1, 3)))[0], 2).tolist() for one in (grid, volume.grid))
        raise _another_grid(
            path,
            volume,
            f"its first voxel lies at {first} mm, the scan's at {other}; "
            f"voxels are {np.round(grid.spacing, 3).tolist()} and {np.round(volume.grid.spacing, 3).tolist()} mm",
        )


def _another_grid(path: Path, volume: Volume, difference: str) -> DatasetError:
    return DatasetError(f"{path}: a mask must lie on the grid of its scan {volume.path}, but {difference}; resample it")


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:10])) + (", ..." if len(values) > 10 else "")
