"""Writing the folder of ROIs, completely or not at all; nothing in it identifies a patient."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from lesionbench import DatasetError, OutputError
from lesionbench_liver_lesion.cut_rois.settings import AIR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lesionbench_liver_lesion.cut_rois.lesion import Lesion
    from lesionbench_liver_lesion.cut_rois.roi import Roi
    from lesionbench_liver_lesion.cut_rois.settings import CutSettings

RECORD = "cut-rois.json"
PATIENTS = "patients.csv"
ROIS = "rois.csv"


@dataclass(frozen=True, eq=False)
class Cut:
    """One ROI, ready to be written. id, patient, series: hashes; pixel_mm: between rows, between columns."""

    lesion: Lesion
    roi: Roi
    image: NDArray[np.uint8]
    id: str
    patient: str
    series: str
    slice_number: int
    pixel_mm: tuple[float, float]

    @property
    def label(self) -> str:
        """The name of the class."""
        return self.lesion.label

    @property
    def file(self) -> str:
        """The image's path in the folder; its name is PATIENT_LESION."""
        return f"{self.label}/{self.patient}_{self.id}.png"


def check_output(out: Path) -> Path:
    """The whole path of the folder to write; raises OutputError if it is not new or empty, or not writable."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"the output must be a folder, but {out} is a file; choose another --out")
    try:
        if out.exists() and any(out.iterdir()):
            raise OutputError(f"the output folder must be new or empty, but {out} holds files; choose another --out")
    except OSError as error:
        raise _refused(out, error) from None
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"the output folder must be writable, but {parent} is not; choose another --out")
    return out.resolve()


def write_output(out: Path, cuts: list[Cut], settings: CutSettings, salted: bool) -> None:
    """Write every ROI and the tables to `out`, or raise OutputError and leave nothing."""
    if not cuts:
        raise DatasetError("no lesion is left to cut; lower --min-diameter")
    made: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        whole = made / "whole"  # a folder inside, because other users cannot open mkdtemp's
        whole.mkdir()
        _write_images(whole, cuts)
        _write_table(whole / PATIENTS, [_patient_row(one) for one in cuts])
        _write_table(whole / ROIS, [_roi_row(one, settings) for one in cuts])
        (whole / RECORD).write_text(json.dumps(_record(cuts, settings, salted), indent=2) + "\n", encoding="utf-8")
        if out.exists():
            out.rmdir()
        whole.rename(out)
    except OSError as error:
        raise _refused(out, error) from None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _write_images(folder: Path, cuts: list[Cut]) -> None:
    for one in cuts:
        path = folder / one.file
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(one.image).save(path, "PNG")


def _write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _patient_row(one: Cut) -> dict[str, object]:
    return {"file": one.file, "patient": one.patient, "class": one.label}


def _roi_row(one: Cut, settings: CutSettings) -> dict[str, object]:
    return {
        "file": one.file,
        "class": one.label,
        "patient": one.patient,
        "series": one.series,
        "slice": one.slice_number,
        "centre_row": f"{one.lesion.row:.2f}",
        "centre_column": f"{one.lesion.column:.2f}",
        "diameter_mm": f"{one.lesion.diameter:.3f}",
        "margin": f"{settings.margin:g}",
        "side_mm": f"{one.roi.side:.3f}",
        "row_mm": f"{one.pixel_mm[0]:.4f}",
        "column_mm": f"{one.pixel_mm[1]:.4f}",
        "outside": f"{one.roi.outside:.4f}",
        "window_level": f"{settings.window_level:g}",
        "window_width": f"{settings.window_width:g}",
        "size": settings.size,
    }


def _record(cuts: list[Cut], settings: CutSettings, salted: bool) -> dict[str, object]:
    from importlib.metadata import version

    return {
        "made_by": f"lesionbench-liver-lesion {version('lesionbench-liver-lesion')}",
        "settings": asdict(settings),
        "outside": f"air ({AIR:g} HU)",
        "resize": "bicubic, after windowing",
        "shown": "row 0 anterior, the patient's left on the image's right",
        "hashes": "HMAC-SHA-256, 16 digits; the salt was " + ("given" if salted else "random and is not kept"),
        "rois": len(cuts),
        "patients": len({one.patient for one in cuts}),
    }


def _refused(out: Path, error: OSError) -> OutputError:
    return OutputError(f"{out}: the output cannot be written ({error.strerror or error}); choose another --out")
