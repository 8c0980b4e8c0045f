"""Masks in NRRD files, as written by 3D Slicer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench import UnreadableImage
from lesionbench_liver_lesion.cut_rois.volume import Grid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TO_RAS = {  # the directions of a space's axes, relative to right, anterior, superior
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}


def read_nrrd(path: Path) -> tuple[NDArray[Any], Grid]:
    """The values (columns, rows, slices) and their grid; raises UnreadableImage that names the file."""
    import nrrd

    try:
        values, header = nrrd.read(str(path))
    except OSError:
        raise
    except Exception as error:  # pynrrd raises all kinds of exceptions on damaged files
        raise UnreadableImage(f"{path}: an NRRD file must be whole, but this one is damaged ({error})") from None
    if values.ndim != 3:
        raise UnreadableImage(
            f"{path}: a mask must be 3-D, but this NRRD is {values.ndim}-D; export the segments as one label map"
        )
    signs = TO_RAS.get(str(header.get("space", "")).lower())
    directions, origin = header.get("space directions"), header.get("space origin")
    if signs is None or directions is None or origin is None or np.shape(directions) != (3, 3):
        raise UnreadableImage(
            f"{path}: an NRRD mask must say its space (left-posterior-superior), directions and origin; export it again"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, float).T
    affine[:3, 3] = np.asarray(origin, float)
    return values, Grid(values.shape, np.diag([*signs, 1.0]) @ affine)
