"""NIfTI files, as scans and as masks."""

from __future__ import annotations

import hashlib
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench import UnreadableImage
from lesionbench_liver_lesion.cut_rois.volume import Grid, SliceName, Volume, make_volume

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = (".nii", ".nii.gz")
MOST_COMPRESSED = 1040  # times; deflate, which .gz files use, does not compress further


def is_nifti(path: Path) -> bool:
    """Whether the name is that of a NIfTI file."""
    return path.name.lower().endswith(SUFFIXES)


def read_volume(path: Path) -> Volume:
    """The scan in a NIfTI file of HU, 2-D or 3-D; raises UnreadableImage that names the file."""
    values, grid = read_array(path)
    slices = [SliceName(number, str(number), frozenset({str(number)})) for number in range(grid.shape[2])]
    # Identified by its bytes: a path may change, and may contain a patient's name.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return make_volume(path, values.astype(np.float32), grid, slices, digest, None)


def read_array(path: Path) -> tuple[np.ndarray[Any, Any], Grid]:
    """The values of a NIfTI file with its slope and intercept applied, (columns, rows, slices), and their grid."""
    import nibabel
    from nibabel import imageglobals

    try:
        with _silent(imageglobals.logger):
            image: Any = nibabel.load(path)
            _check_header(path, image)
            values = np.asanyarray(image.dataobj)
    except UnreadableImage:
        raise
    except Exception as error:  # nibabel raises all kinds of exceptions on damaged files
        raise UnreadableImage(f"{path}: a NIfTI file must be whole and readable, but this is not ({error})") from None
    shape = (*values.shape, 1, 1)[:3]
    return values.reshape(shape), Grid(shape, np.asarray(image.affine, float))


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Silence nibabel's messages about header repairs; the relevant fields are checked here."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _check_header(path: Path, image: Any) -> None:
    shape, header = image.shape, image.header
    if len(shape) < 2 or any(length != 1 for length in shape[3:]):
        sizes = " x ".join(map(str, shape))
        raise UnreadableImage(
            f"{path}: a scan or a mask must be 3-D or 2-D, but this NIfTI is {len(shape)}-D ({sizes}); "
            "save the one volume that is meant as its own file"
        )
    if 0 in shape:
        raise UnreadableImage(f"{path}: a NIfTI file must hold voxels, but this one is empty")
    _refuse_beyond_file(path, image)
    if image.get_data_dtype().kind not in "iuf":
        raise UnreadableImage(f"{path}: voxels must be plain numbers, not {image.get_data_dtype()}; export it again")
    if "sform_code" not in header or not (header["sform_code"] or header["qform_code"]):
        raise UnreadableImage(
            f"{path}: a NIfTI file must say how it is oriented, but its sform and qform codes are 0; export it again"
        )
    if header.get_xyzt_units()[0] not in ("mm", "unknown"):
        raise UnreadableImage(f"{path}: distances must be in mm, not {header.get_xyzt_units()[0]}; export it again")


def _refuse_beyond_file(path: Path, image: Any) -> None:
    """Raise UnreadableImage if the header promises more voxels than the file can hold: they would fill the memory."""
    promised = math.prod(image.shape) * image.get_data_dtype().itemsize
    held = path.stat().st_size * (MOST_COMPRESSED if path.suffix.lower() == ".gz" else 1)
    if promised > held:
        sizes = " x ".join(map(str, image.shape))
        raise UnreadableImage(
            f"{path}: a NIfTI file must hold the voxels that its header promises, but {sizes} do not fit into this "
            "file; copy or export it again"
        )
