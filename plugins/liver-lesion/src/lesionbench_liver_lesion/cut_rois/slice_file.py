"""One DICOM file: an axial CT slice in HU."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench import UnreadableImage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".dcm", ".dicom", ".ima")
NEEDED = {
    "SeriesInstanceUID": "which series it belongs to",
    "SOPInstanceUID": "which slice it is",
    "ImageOrientationPatient": "how it is oriented",
    "ImagePositionPatient": "where it lies",
    "PixelSpacing": "how large its pixels are",
    "Rows": "how many rows it has",
    "Columns": "how many columns it has",
}
WANTED = ("InstanceNumber", "PatientID", "PatientName")  # used if present


@dataclass(frozen=True, eq=False)
class SliceFile:
    """The validated header of one slice; `hu` reads the pixels.

    along_columns, along_rows: mm from one column, or row, to the next, (3,), as left, posterior, superior;
    position: of the first pixel's centre in mm, (3,).
    """

    path: Path
    header: Any
    along_columns: NDArray[np.float64]
    along_rows: NDArray[np.float64]
    position: NDArray[np.float64]

    @property
    def series(self) -> str:
        """The series' UID."""
        return str(self.header.SeriesInstanceUID)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def normal(self) -> NDArray[np.float64]:
        """The direction across the slice, of length 1, pointing up."""
        across = np.cross(self.along_columns, self.along_rows)
        across = across / np.linalg.norm(across)
        return np.asarray(across if across[2] > 0 else -across)

    @property
    def stem(self) -> str:
        """The file's name without its DICOM suffix (names made of UIDs have dots of their own)."""
        return stem(self.path)

    def hu(self) -> NDArray[np.float32]:
        """The slice, (rows, columns), with its own slope and intercept; raises UnreadableImage."""
        slope, intercept = float(self.header.RescaleSlope), float(self.header.RescaleIntercept)
        try:
            with quiet():
                pixels = self.header.pixel_array
        except Exception as error:  # pydicom raises all kinds of exceptions on damaged pixels
            raise UnreadableImage(f"{self.path}: the pixel data cannot be read, they are damaged ({error})") from None
        return np.asarray(pixels.astype(np.float64) * slope + intercept, np.float32)


def stem(path: Path) -> str:
    """The name without a DICOM suffix."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def is_dicom(path: Path) -> bool:
    """Whether the file's name or its bytes say DICOM."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dataset(path: Path) -> Any:
    """The DICOM data set; raises UnreadableImage if there is none or it is damaged."""
    import pydicom

    try:
        with quiet():
            data = pydicom.dcmread(path)
            data.file_meta.TransferSyntaxUID  # noqa: B018  # a file that does not state its encoding is no DICOM file
            return data
    except OSError as error:
        raise UnreadableImage(f"{path}: the file cannot be opened ({error.strerror or error})") from None
    except Exception as error:  # pydicom raises all kinds of exceptions on damaged files
        raise UnreadableImage(f"{path}: a DICOM file must be whole, but this is damaged or none ({error})") from None


def modality_of(path: Path, data: Any) -> str:
    """The modality, such as CT or SEG, or an empty text; raises UnreadableImage if the tag is damaged."""
    try:
        with quiet():
            return str(data.get("Modality") or "")
    except Exception as error:  # pydicom raises all kinds of exceptions on damaged tags
        raise _bad_tag(path, error) from None


def slice_of(path: Path, data: Any) -> SliceFile:
    """The axial CT slice in a data set; raises UnreadableImage that names the file and says what it lacks."""
    try:
        with quiet():
            _check_kind(path, data)
            _ = int(data.get("InstanceNumber") or 0), [str(data.get(tag)) for tag in WANTED]  # a damaged one raises
            _check_rescale(path, data)
            _check_pixels(path, data)
            return _placed(path, data)
    except UnreadableImage:
        raise
    except Exception as error:  # a tag that is no number, of another length, ...
        raise _bad_tag(path, error) from None


def _bad_tag(path: Path, error: Exception) -> UnreadableImage:
    return UnreadableImage(f"{path}: a tag of this DICOM file cannot be read ({error}); export it again")


def _check_kind(path: Path, data: Any) -> None:
    modality = modality_of(path, data)
    if modality != "CT":
        raise UnreadableImage(f"{path}: a scan must be CT, but this file's modality says {modality or 'nothing'}")
    missing = [f"{tag} ({what})" for tag, what in NEEDED.items() if data.get(tag) in (None, "")]
    if missing:
        raise UnreadableImage(f"{path}: a CT slice must say {' and '.join(missing)}, but this one does not")


def _check_rescale(path: Path, data: Any) -> None:
    missing = [tag for tag in ("RescaleSlope", "RescaleIntercept") if data.get(tag) in (None, "")]
    if missing:
        raise UnreadableImage(
            f"{path}: CT needs its rescale slope and intercept to become HU, but {' and '.join(missing)} is missing; "
            "export the series again"
        )
    slope, intercept = float(data.RescaleSlope), float(data.RescaleIntercept)
    if not (np.isfinite([slope, intercept]).all() and slope != 0):
        raise UnreadableImage(f"{path}: slope and intercept must be numbers, and no slope 0, not {slope}, {intercept}")
    unit = data.get("RescaleType") or "HU"
    if unit != "HU":
        raise UnreadableImage(f"{path}: rescaled values must be HU, not {unit}")


def _check_pixels(path: Path, data: Any) -> None:
    if "PixelData" not in data:
        raise UnreadableImage(f"{path}: a CT slice must hold pixel data, but this DICOM file has none")
    if int(data.get("NumberOfFrames") or 1) != 1:
        raise UnreadableImage(f"{path}: a CT file must hold one slice, not several frames; convert it to NIfTI")
    if data.get("SamplesPerPixel") != 1 or data.get("PhotometricInterpretation") != "MONOCHROME2":
        raise UnreadableImage(
            f"{path}: a CT slice must be grey (MONOCHROME2), not {data.get('PhotometricInterpretation')}"
        )
    check_codec(path, data)


def check_codec(path: Path, data: Any) -> None:
    """Raise UnreadableImage if no installed codec reads the file's compressed pixel data."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = data.file_meta.TransferSyntaxUID
    try:
        able = not syntax.is_compressed or get_decoder(syntax).is_available
    except (NotImplementedError, ValueError):  # no syntax that pydicom knows
        able = False
    if not able:
        raise UnreadableImage(
            f"{path}: its pixel data are compressed ({syntax.name}), and no installed codec reads that; "
            "decompress the file (dcmdjpeg, gdcmconv --raw), or: pip install pylibjpeg pylibjpeg-libjpeg"
        )


def _placed(path: Path, data: Any) -> SliceFile:
    orientation = _numbers(data.ImageOrientationPatient, 6)
    between_rows, between_columns = _numbers(data.PixelSpacing, 2)  # DICOM puts the distance of rows first
    position = _numbers(data.ImagePositionPatient, 3)
    if min(between_rows, between_columns) <= 0:
        raise UnreadableImage(f"{path}: pixel spacing must be above 0 mm, not {between_rows} and {between_columns}")
    right, down = orientation[:3], orientation[3:]
    if abs(np.linalg.norm(right) - 1) > 1e-2 or abs(np.linalg.norm(down) - 1) > 1e-2 or abs(right @ down) > 1e-2:
        raise UnreadableImage(f"{path}: its orientation must be two perpendicular directions, not {orientation}")
    if np.abs(np.cross(right, down)).argmax() != 2:
        raise UnreadableImage(f"{path}: slices must be axial, but this one is sagittal or coronal")
    return SliceFile(path, data, right * between_columns, down * between_rows, position)


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    numbers = np.atleast_1d(np.array(values, float))
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"{count} numbers are needed, not {values}")
    return numbers


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom's warnings about headers; the relevant tags are checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
