"""Masks in PNG files, one for each DICOM slice, with the slice's rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lesionbench import DatasetError, UnreadableImage
from lesionbench_liver_lesion.cut_rois import nifti

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench_liver_lesion.cut_rois.volume import Volume

GREY_MODES = ("1", "L", "P", "I", "I;16", "I;16B")


def read_pngs(path: Path, volume: Volume) -> dict[int, NDArray[np.bool_]]:
    """The marked voxels of each mask value, bool (columns, rows, slices) as stored; none in slices without a PNG.

    A PNG belongs to the slice whose file name (without .dcm) is its name or the beginning of its name: slice-01.dcm and
    slice-01_lesion.png. Raises DatasetError if a PNG belongs to no slice, or two belong to one.
    """
    if nifti.is_nifti(volume.path):
        raise DatasetError(f"{path}: PNG masks go with DICOM slices; make the mask of {volume.path} a NIfTI too")
    pngs = sorted(path.glob("*.png")) if path.is_dir() else [path]
    if not pngs:
        raise DatasetError(f"{path}: a folder of masks must hold PNG files, but there is none")
    layers: dict[int, NDArray[np.bool_]] = {}
    for index, png in _by_slice(pngs, volume).items():
        values = _read(png)
        if values.shape != volume.stored.shape[1::-1]:
            raise DatasetError(
                f"{png}: a mask must have the shape of its slice {volume.stored.shape[1::-1]}, not {values.shape} "
                "(rows, columns)"
            )
        for value in np.unique(values):
            if value:
                layer = layers.setdefault(int(value), np.zeros(volume.stored.shape, bool))
                layer[:, :, index] = (values == value).T
    return layers


def _by_slice(pngs: list[Path], volume: Volume) -> dict[int, Path]:
    if len(pngs) == len(volume.slices) == 1:
        return {0: pngs[0]}
    stems = {one.stem: index for index, one in enumerate(volume.slices)}
    found: dict[int, Path] = {}
    for png in pngs:
        fitting = [stem for stem in stems if _belongs(png.stem, stem)]
        if not fitting:
            raise DatasetError(
                f"{png}: a PNG mask must be named after its slice, but no slice of {volume.path} has such a name; "
                "slice-01.dcm and slice-01_lesion.png belong together"
            )
        index = stems[max(fitting, key=len)]
        if index in found:
            raise DatasetError(f"{png}: a slice has one mask, but {found[index].name} belongs to the same one")
        found[index] = png
    return found


def _belongs(name: str, stem: str) -> bool:
    return name == stem or (name.startswith(stem) and not name[len(stem)].isalnum())


def _read(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode not in GREY_MODES:
                raise UnreadableImage(f"{path}: a mask must be grey, not {image.mode}; save it as grey PNG")
            return np.asarray(image).astype(np.int64)
    except UnreadableImage:
        raise
    except PermissionError:
        raise
    except Exception as error:  # Pillow raises all kinds of exceptions on damaged files
        raise UnreadableImage(f"{path}: a PNG mask must be whole, but this file is damaged or none ({error})") from None
