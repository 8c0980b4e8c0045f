"""Masks in DICOM Segmentation objects; a mask value is a segment's number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench import DatasetError, InputError, UnreadableImage
from lesionbench_liver_lesion.cut_rois.slice_file import check_codec, modality_of, quiet, read_dataset
from lesionbench_liver_lesion.cut_rois.volume import GRID_TOLERANCE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench_liver_lesion.cut_rois.volume import Volume


def read_seg(path: Path, volume: Volume) -> dict[int, NDArray[np.bool_]]:
    """The marked voxels of each segment number, bool (columns, rows, slices) as the scan is stored.

    Every frame must cover one slice of the scan, pixel for pixel (fractional ones count from a half upwards).
    Raises DatasetError if one does not, UnreadableImage if the file is no segmentation or is damaged.
    """
    data = read_dataset(path)
    try:
        with quiet():
            _check_kind(path, data)
            return _layers(path, data, volume)
    except InputError:
        raise
    except Exception as error:  # pydicom raises all kinds of exceptions on damaged objects
        raise UnreadableImage(f"{path}: a DICOM SEG must be whole, but this cannot be read ({error!r})") from None


def _check_kind(path: Path, data: Any) -> None:
    if modality_of(path, data) != "SEG" or data.get("SegmentationType") not in ("BINARY", "FRACTIONAL"):
        raise UnreadableImage(f"{path}: a DICOM mask must be a binary or fractional SEG object, but this is not one")
    if "PixelData" not in data:
        raise UnreadableImage(f"{path}: a DICOM SEG must hold pixel data, but this one has none")
    check_codec(path, data)


def _layers(path: Path, data: Any, volume: Volume) -> dict[int, NDArray[np.bool_]]:
    frames = data.pixel_array.reshape(-1, int(data.Rows), int(data.Columns))
    half = 0.5 if data.SegmentationType == "BINARY" else float(data.MaximumFractionalValue) / 2
    layers: dict[int, NDArray[np.bool_]] = {}
    for index, frame in enumerate(frames):
        segment, place = _segment(data, index), _slice_index(path, data, index, volume)
        layer = layers.setdefault(segment, np.zeros(volume.stored.shape, bool))
        layer[:, :, place] |= (frame >= half).T
    return layers


def _segment(data: Any, index: int) -> int:
    return int(_group(data, index, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _slice_index(path: Path, data: Any, index: int, volume: Volume) -> int:
    """The index of the slice of the scan, as stored, that a frame covers."""
    right, down = np.array(_group(data, index, "PlaneOrientationSequence").ImageOrientationPatient, float).reshape(2, 3)
    position = np.array(_group(data, index, "PlanePositionSequence").ImagePositionPatient, float)
    between_rows, between_columns = map(float, _group(data, index, "PixelMeasuresSequence").PixelSpacing)
    rows, columns = int(data.Rows), int(data.Columns)
    far_right, far_down = right * between_columns * (columns - 1), down * between_rows * (rows - 1)
    corners = np.array([position, position + far_right, position + far_down])
    found = volume.stored.from_mm(corners * [-1, -1, 1])  # DICOM's left, posterior to right, anterior
    place = round(float(found[0, 2]))
    last_column, last_row = volume.stored.shape[0] - 1, volume.stored.shape[1] - 1
    expected = np.array([(0, 0, place), (last_column, 0, place), (0, last_row, place)])
    inside = 0 <= place < volume.stored.shape[2]
    if not inside or np.abs(found - expected)[:, :2].max() > GRID_TOLERANCE or np.ptp(found[:, 2]) > GRID_TOLERANCE:
        raise _another_grid(path, index, rows, columns, volume)
    if abs(found[0, 2] - place) > GRID_TOLERANCE and volume.stored.shape[2] > 1:
        raise _another_grid(path, index, rows, columns, volume)
    return place


def _another_grid(path: Path, index: int, rows: int, columns: int, volume: Volume) -> DatasetError:
    return DatasetError(
        f"{path}: a mask must lie on the grid of its scan {volume.path}, but frame {index + 1} ({rows} x {columns}) "
        f"covers none of its {volume.stored.shape[2]} slices ({volume.stored.shape[1]} x {volume.stored.shape[0]}) "
        "pixel for pixel; resample it"
    )


def _group(data: Any, index: int, name: str) -> Any:
    """A frame's functional group, its own or the one that all frames share."""
    own = data.PerFrameFunctionalGroupsSequence[index]
    return (own if name in own else data.SharedFunctionalGroupsSequence[0])[name].value[0]
