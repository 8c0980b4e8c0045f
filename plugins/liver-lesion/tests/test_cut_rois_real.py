"""Real CT: what is cut lies where the mask is, and holds the values that are in the files."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from lesionbench_liver_lesion.cut_rois import nifti
from lesionbench_liver_lesion.cut_rois.case import Request
from lesionbench_liver_lesion.cut_rois.cut import cut_all
from lesionbench_liver_lesion.cut_rois.lesion import Lesion, lesions_in
from lesionbench_liver_lesion.cut_rois.mask import ClassMask, read_mask
from lesionbench_liver_lesion.cut_rois.roi import cut
from lesionbench_liver_lesion.cut_rois.series import read_series
from lesionbench_liver_lesion.cut_rois.settings import CutSettings
from lesionbench_liver_lesion.cut_rois.volume import Volume

DATA = Path(os.environ.get("LESIONBENCH_DATA", "")) / "liver-lesion"
NIFTI, DICOM, SEG = DATA / "totalseg-nifti", DATA / "totalseg-dicom", DATA / "dcmqi-ct-3slice"
pytestmark = pytest.mark.skipif(
    "LESIONBENCH_DATA" not in os.environ or not NIFTI.is_dir(),
    reason="LESIONBENCH_DATA names no folder with liver-lesion/totalseg-nifti",
)


def cut_out(volume: Volume, mask_file: Path) -> tuple[ClassMask, list[Lesion]]:
    masks, _ = read_mask(mask_file, volume, CutSettings(), "cyst")
    lesions, _ = lesions_in(masks[0], volume, every_slice=True, min_diameter=15.0)
    assert lesions
    return masks[0], lesions


def check_centred(volume: Volume, mask: ClassMask, lesions: list[Lesion]) -> None:
    """The centroid of what is marked inside an ROI lies in its middle third, and all of the part is in it."""
    for lesion in lesions:
        half = lesion.diameter / 2 / volume.grid.spacing
        rows, columns = np.nonzero(mask.marked[lesion.slice_])
        near = (np.abs(rows - lesion.row) <= half[1]) & (np.abs(columns - lesion.column) <= half[0])
        side = 1.5 * lesion.diameter / volume.grid.spacing
        assert abs(rows[near].mean() - lesion.row) < side[1] / 6
        assert abs(columns[near].mean() - lesion.column) < side[0] / 6


def test_nifti_rois_hold_the_files_values_and_lie_on_the_mask():
    path = NIFTI / "example_ct_sm.nii.gz"
    volume = nifti.read_volume(path)
    mask, lesions = cut_out(volume, NIFTI / "example_ct_sm_liver.nii.gz")
    check_centred(volume, mask, lesions)
    raw = np.asarray(nibabel.load(path).dataobj)
    assert 46 == np.median(volume.hu[mask.marked])  # as the data's own description says
    for lesion in lesions:
        roi = cut(volume, lesion, 0.0)
        if roi.outside == 0:
            top, left = (round(centre + 0.5 - length / 2) for centre, length in _centres(lesion, roi.hu.shape))
            # The file's first index runs to the right and its second to the front: both backwards as shown.
            shown = raw[::-1, ::-1, lesion.slice_].T
            np.testing.assert_array_equal(
                shown[top : top + roi.hu.shape[0], left : left + roi.hu.shape[1]], roi.hu.astype(int)
            )


def _centres(lesion: Lesion, shape: tuple[int, ...]) -> list[tuple[float, int]]:
    return [(lesion.row, shape[0]), (lesion.column, shape[1])]


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_dicom_rois_hold_pixels_times_slope_plus_intercept_and_lie_on_the_mask(margin):
    volume = read_series(DICOM, None)
    mask, lesions = cut_out(volume, DICOM)
    check_centred(volume, mask, lesions)
    assert 92 == np.median(volume.hu[mask.marked])  # as the data's own description says
    for lesion in lesions:
        data = pydicom.dcmread(DICOM / f"slice-{lesion.slice_ + 1:02d}.dcm")
        raw = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        roi = cut(volume, lesion, margin)
        top, left = (round(centre + 0.5 - length / 2) for centre, length in _centres(lesion, roi.hu.shape))
        assert 0 == roi.outside
        np.testing.assert_array_equal(raw[top : top + roi.hu.shape[0], left : left + roi.hu.shape[1]], roi.hu)


def test_nrrd_and_seg_mark_the_same_and_rois_lie_on_them(tmp_path):
    volume = read_series(SEG, None)
    first, lesions = cut_out(volume, SEG / "liver_dicom_seg.dcm")
    second, _ = cut_out(volume, SEG / "liver_seg.nrrd")
    np.testing.assert_array_equal(first.marked, second.marked)
    check_centred(volume, first, lesions)
    request = Request((SEG,), mask=SEG / "liver_seg.nrrd")
    summary = cut_all(request, CutSettings(label="cyst", min_diameter=15.0), None, tmp_path / "out")
    assert 1 == summary.classes["cyst"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"DCMQI" not in written and b"1.2.392" not in written
