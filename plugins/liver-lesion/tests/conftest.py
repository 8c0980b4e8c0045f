"""Small CT scans, masks and tables, made with the libraries that read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage

NAME, PATIENT, SERIES = "Doe^Jane", "MRN-4711-0815", "1.2.826.0.1.99.7"
SHAPE = (40, 32, 5)  # columns, rows, slices
SPACING = (0.8, 0.8, 2.5)  # mm between columns, rows, slices
ORIGIN = (-20.0, -30.0, 100.0)  # left, posterior, superior of the first pixel
CENTRE, RADIUS = (24, 12, 2), 5.0  # of the ball: column, row, slice; mm


def ball() -> np.ndarray[Any, Any]:
    """bool (columns, rows, slices): a ball of 10 mm about (24, 12, 2)."""
    place = np.indices(SHAPE).reshape(3, -1).T - np.array(CENTRE)
    inside = ((place * SPACING) ** 2).sum(axis=1) <= RADIUS**2
    return inside.reshape(SHAPE)


def hu() -> np.ndarray[Any, Any]:
    """int16 (columns, rows, slices): air, a body of 60 HU with noise, in it a lesion of 10 HU."""
    values = np.random.default_rng(3).integers(50, 70, SHAPE).astype(np.int16)
    values[ball()] = 10
    values[:2] = values[-2:] = -1000
    return values


@dataclass
class Maker:
    """Writes files below `root`."""

    root: Path

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def affine(self) -> np.ndarray[Any, Any]:
        """From (column, row, slice) to right, anterior, superior: what nibabel expects."""
        affine = np.diag([*SPACING, 1.0])
        affine[:3, 3] = ORIGIN
        return np.diag([-1.0, -1, 1, 1]) @ affine

    def nifti(self, name: str, values: np.ndarray[Any, Any], affine: np.ndarray[Any, Any] | None = None) -> Path:
        image = nibabel.Nifti1Image(values, self.affine() if affine is None else affine)
        nibabel.save(image, self.path(name))
        return self.path(name)

    def scan(self, name: str = "scan.nii.gz") -> Path:
        return self.nifti(name, hu())

    def mask(self, name: str = "mask.nii.gz", value: int = 1) -> Path:
        return self.nifti(name, ball().astype(np.uint8) * value)

    def series(self, name: str = "Doe Jane", values: np.ndarray[Any, Any] | None = None, **tags: Any) -> Path:
        """A folder of DICOM slices with names and numbers in their headers; file slice-1.dcm lies lowest."""
        values = hu() if values is None else values
        for index in range(values.shape[2]):
            self.dicom(f"{name}/slice-{index + 1}.dcm", values[:, :, index], index, **tags)
        return self.root / name

    def dicom(self, name: str, values: np.ndarray[Any, Any], index: int = 0, **tags: Any) -> Path:
        """One CT slice of HU (columns, rows); a tag given as None is left out."""
        data = self.header(CTImageStorage, "CT", f"{SERIES}.{index + 1}")
        data.SeriesInstanceUID, data.FrameOfReferenceUID = SERIES, "1.2.826.0.1.99.8"
        data.StudyInstanceUID = "1.2.826.0.1.99.9"
        data.InstanceNumber = index + 11
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + index * SPACING[2]]
        data.PixelSpacing = [SPACING[1], SPACING[0]]
        data.SliceThickness = SPACING[2]
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 2, -1024, "HU"
        self.pixels(data, ((values.T.astype(int) + 1024) // 2).astype(np.int16), 16)
        for tag, value in tags.items():
            delattr(data, tag) if value is None else setattr(data, tag, value)
        data.save_as(self.path(name), enforce_file_format=True)
        return self.path(name)

    def header(self, storage: str, modality: str, instance: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, instance
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = storage, instance, modality
        data.PatientName, data.PatientID, data.PatientBirthDate = NAME, PATIENT, "19610203"
        return data

    def pixels(self, data: FileDataset, pixels: np.ndarray[Any, Any], bits: int) -> None:
        data.Rows, data.Columns = pixels.shape[-2:]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
        data.PixelRepresentation = int(pixels.dtype.kind == "i")
        data.PixelData = pixels.tobytes()

    def seg(self, name: str = "seg.dcm", layers: dict[int, np.ndarray[Any, Any]] | None = None) -> Path:
        """A binary SEG: every slice that a segment marks is a frame, highest first."""
        layers = {1: ball()} if layers is None else layers
        data = self.header(SegmentationStorage, "SEG", "1.2.826.0.1.99.11")
        frames, groups = [], []
        for number, layer in layers.items():
            for index in reversed(range(SHAPE[2])):
                if layer[:, :, index].any():
                    frames.append(layer[:, :, index].T)
                    groups.append(self.frame(number, index))
        self.pixels(data, np.zeros(SHAPE[1::-1], np.uint8), 8)
        data.BitsAllocated = data.BitsStored = 1
        data.HighBit = 0
        data.PixelData = np.packbits(np.array(frames).ravel(), bitorder="little").tobytes() + b"\0"
        data.NumberOfFrames, data.SegmentationType = len(frames), "BINARY"
        shared = Dataset()
        shared.PlaneOrientationSequence = self.item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        shared.PixelMeasuresSequence = self.item(PixelSpacing=[SPACING[1], SPACING[0]])
        data.SharedFunctionalGroupsSequence = Sequence([shared])
        data.PerFrameFunctionalGroupsSequence = Sequence(groups)
        data.save_as(self.path(name), enforce_file_format=True)
        return self.path(name)

    def frame(self, number: int, index: int) -> Dataset:
        group = Dataset()
        group.SegmentIdentificationSequence = self.item(ReferencedSegmentNumber=number)
        position = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + index * SPACING[2]]
        group.PlanePositionSequence = self.item(ImagePositionPatient=position)
        return group

    def item(self, **tags: Any) -> Sequence:
        one = Dataset()
        for tag, value in tags.items():
            setattr(one, tag, value)
        return Sequence([one])

    def nrrd(self, name: str = "mask.nrrd", values: np.ndarray[Any, Any] | None = None, **header: Any) -> Path:
        directions = np.diag(SPACING)
        header = {"space": "left-posterior-superior", "space directions": directions, "space origin": ORIGIN} | header
        nrrd.write(str(self.path(name)), ball().astype(np.uint8) if values is None else values, header)
        return self.path(name)

    def pngs(self, name: str = "png", value: int = 255) -> Path:
        """A PNG for every slice that the ball touches, in rows and columns as stored."""
        for index in range(SHAPE[2]):
            if ball()[:, :, index].any():
                self.png(f"{name}/slice-{index + 1}_lesion.png", ball()[:, :, index].T.astype(np.uint8) * value)
        return self.root / name

    def png(self, name: str, values: np.ndarray[Any, Any]) -> Path:
        Image.fromarray(values).save(self.path(name))
        return self.path(name)

    def table(self, name: str, *lines: str, encoding: str = "utf-8") -> Path:
        self.path(name).write_bytes("\n".join(lines).encode(encoding))
        return self.path(name)

    def edit(self, path: Path, **tags: Any) -> Path:
        """Change tags of a DICOM file; None leaves a tag out."""
        data = pydicom.dcmread(path)
        for tag, value in tags.items():
            delattr(data, tag) if value is None else setattr(data, tag, value)
        data.save_as(path)
        return path


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "given")
