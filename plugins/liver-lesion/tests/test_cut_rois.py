from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import RLELossless

from lesionbench import InputError
from lesionbench_liver_lesion.cut_rois import nifti
from lesionbench_liver_lesion.cut_rois.case import Request
from lesionbench_liver_lesion.cut_rois.cut import Summary, cut_all
from lesionbench_liver_lesion.cut_rois.lesion import Lesion, diameter, lesions_in
from lesionbench_liver_lesion.cut_rois.mask import read_mask
from lesionbench_liver_lesion.cut_rois.roi import Roi, cut, grey
from lesionbench_liver_lesion.cut_rois.series import read_series
from lesionbench_liver_lesion.cut_rois.settings import CutSettings

NAME, PATIENT, SERIES = "Doe^Jane", "MRN-4711-0815", "1.2.826.0.1.99.7"
BALL = Lesion("cyst", 2, 12.0, 24.0, 0.0)  # slice, row, column as the scan shows it
SALT = "a salt for tests"
HEADER = "series,slice,x,y,{},label"


def run(out: Path, request: Request, salt: str | None = SALT, **settings: Any) -> Summary:
    return cut_all(request, CutSettings(**settings), salt, out)


def run_mask(out: Path, scan: Path, mask: Path, **settings: Any) -> Summary:
    given = settings if "mask_labels" in settings else {"label": "cyst"} | settings
    return run(out, Request((scan,), mask=mask), **given)


def rows(out: Path, name: str = "rois.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def images(out: Path) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(Image.open(out / row["file"])) for row in rows(out)]


def files(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


# what is written


def test_a_lesion_in_a_mask_becomes_one_image_in_its_class_folder(make, tmp_path):
    out = tmp_path / "deep" / "out"
    summary = run_mask(out, make.scan(), make.mask())
    (row,) = rows(out)
    assert {"cyst": 1, "metastasis": 0, "hemangioma": 0} == summary.classes and 1 == summary.patients
    assert {"cut-rois.json", "patients.csv", "rois.csv", row["file"]} == set(files(out))
    assert row["file"] == f"cyst/{Path(row['file']).stem}.png"
    assert [{"file": row["file"], "patient": row["patient"], "class": "cyst"}] == rows(out, "patients.csv")
    assert (64, 64) == images(out)[0].shape and np.uint8 == images(out)[0].dtype


def test_every_roi_is_recorded_with_its_place_and_settings(make, tmp_path):
    run_mask(tmp_path / "out", make.scan(), make.mask(), margin=0.5)
    (row,) = rows(tmp_path / "out")
    # The ball is 13 pixels of 0.8 mm wide; its longest line is found by measuring all pairs of pixel corners.
    longest = float(row["diameter_mm"])
    assert ("2", "12.00", "24.00") == (row["slice"], row["centre_row"], row["centre_column"])
    assert pytest.approx(2 * longest, abs=0.002) == float(row["side_mm"])
    assert ("0.5", "60", "400", "64") == tuple(row[key] for key in ("margin", "window_level", "window_width", "size"))
    assert ("0.8000", "0.8000") == (row["row_mm"], row["column_mm"])
    record = json.loads((tmp_path / "out" / "cut-rois.json").read_text())
    assert 0.5 == record["settings"]["margin"] and "air" in record["outside"]


def test_the_dataset_reads_what_was_cut(make, tmp_path):
    from lesionbench_liver_lesion import LiverLesion

    table = make.table(
        "cases.csv",
        "scan,mask,label,patient",
        "a.nii,m.nii,cyst,Ann",
        "b.nii,m.nii,metastasis,Bob",
        "c.nii,m.nii,cyst,Ann",
    )
    for shift, name in enumerate(("a.nii", "b.nii", "c.nii")):
        make.nifti(name, np.asarray(nibabel.load(make.scan()).dataobj) + shift)
    make.mask("m.nii")
    summary = run(tmp_path / "out", Request(cases=table))
    data = LiverLesion().load(tmp_path / "out")
    assert 2 == summary.patients
    assert ("cyst", "metastasis") == data.images.classes and (64, 64, 1) == data.images.shape
    assert 2 == len(set(data.images.groups.tolist()))


# no name ever


def test_no_name_number_or_uid_of_a_patient_is_in_any_output_byte(make, tmp_path):
    folder = make.series("Doe_Jane_MRN-4711-0815")
    table = make.table(
        "Doe.csv", HEADER.format("diameter_mm") + ",patient", f"{folder.name},12,24,12,10,cyst,{PATIENT}"
    )
    outs = [tmp_path / name for name in ("mask", "table", "unsalted")]
    run_mask(outs[0], folder, make.seg("Doe_seg.dcm"))
    run(outs[1], Request((folder,), annotations=table))
    run(outs[2], Request((folder,), mask=make.seg()), None, label="cyst")
    secrets = (NAME, PATIENT, SERIES, "Doe", "Jane", "4711", "19610203", "1.2.826", str(tmp_path), "slice-", SALT)
    for out in outs:
        for name, content in files(out).items():
            for secret in secrets:
                assert secret.lower() not in name.lower(), (secret, name)
                assert secret.encode().lower() not in content.lower(), (secret, name)
    for row in rows(outs[0]):
        with Image.open(outs[0] / row["file"]) as image:
            image.load()
            assert {} == image.info


def test_the_same_salt_gives_the_same_bytes_and_no_salt_gives_new_names(make, tmp_path):
    scan, mask = make.scan(), make.mask()
    for name, salt in (("a", SALT), ("b", SALT), ("c", "another salt"), ("d", None), ("e", None)):
        run(tmp_path / name, Request((scan,), mask=mask), salt, label="cyst")
    a, b, c, d, e = (files(tmp_path / name) for name in "abcde")
    assert a == b
    assert 4 == len({one["rois.csv"] for one in (a, c, d, e)})
    assert 4 == len({rows(tmp_path / name)[0]["patient"] for name in "acde"})


def test_two_series_of_one_patient_share_a_hash_and_two_patients_do_not(make, tmp_path):
    lines = ["scan,mask,label"]
    for name, patient, series in (("a", "P1", "1.2.3"), ("b", "P1", "1.2.4"), ("c", "P2", "1.2.5")):
        make.series(name, PatientID=patient, SeriesInstanceUID=series)
        lines.append(f"{name},seg.dcm,cyst")
    make.seg()
    assert 2 == run(tmp_path / "out", Request(cases=make.table("cases.csv", *lines))).patients
    assert 3 == len({row["series"] for row in rows(tmp_path / "out")})


# the values


def test_the_hu_of_a_nifti_roi_are_those_that_nibabel_reads(make):
    scan = make.scan()
    roi = cut(nifti.read_volume(scan), Lesion("cyst", 2, 12.0, 24.0, 8.0), margin=0.25)
    raw = np.asarray(nibabel.load(scan).dataobj)  # columns run to the left, rows to the back, as shown
    # 12 mm are 15 pixels: 7.5 to both sides of the centre of pixel 24, from its edge 17 to its edge 32.
    assert (0.0, 0.0, 15.0, 15.0) == pytest.approx(roi.box)
    np.testing.assert_array_equal(raw[17:32, 5:20, 2].T, roi.hu)
    assert 0 == roi.outside and pytest.approx(12.0) == roi.side


def test_the_hu_of_a_dicom_roi_are_pixels_times_slope_plus_intercept(make):
    volume = read_series(make.series(), None)
    data = pydicom.dcmread(make.root / "Doe Jane" / "slice-3.dcm")
    raw = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    roi = cut(volume, Lesion("cyst", 2, 12.0, 24.0, 8.0), margin=0.25)
    np.testing.assert_array_equal(raw[5:20, 17:32], roi.hu)
    assert 10 == roi.hu[7, 7]


def test_each_slice_has_its_own_slope_and_intercept(make):
    folder = make.series()
    before = read_series(folder, None).hu
    make.edit(folder / "slice-4.dcm", RescaleSlope=4, RescaleIntercept=-24)
    after = read_series(folder, None).hu
    # 2 p - 1024 became 4 p - 24, with p = (HU + 1024) / 2.
    np.testing.assert_array_equal(2 * (before[3] + 1024) - 24, after[3])
    np.testing.assert_array_equal(before[:3], after[:3])


def test_a_run_length_coded_series_is_read_like_an_uncompressed_one(make):
    folder = make.series()
    before = read_series(folder, None).hu
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    np.testing.assert_array_equal(before, read_series(folder, None).hu)


@pytest.mark.parametrize(("value", "shade"), [(-2000, 0), (-140, 0), (-40, 64), (160, 191), (260, 255), (3000, 255)])
def test_the_window_makes_its_lower_end_black_and_its_upper_end_white(value, shade):
    flat = Roi(np.full((4, 4), value, np.float32), (0, 0, 4, 4), 0, 4)
    assert (grey(flat, CutSettings(size=8)) == shade).all()  # a quarter of 255 is 63.75


def test_a_window_elsewhere_changes_the_grey(make, tmp_path):
    scan, mask = make.scan(), make.mask()
    run_mask(tmp_path / "a", scan, mask)
    run_mask(tmp_path / "b", scan, mask, window_level=10, window_width=20)
    # The lesion's 10 HU: (10 + 140) / 400 of 255 is 95.6, and the middle of the other window.
    assert 96 == images(tmp_path / "a")[0][32, 32]
    assert images(tmp_path / "b")[0][32, 32] in (127, 128)
    assert "20" == rows(tmp_path / "b")[0]["window_width"]


# where it is


@pytest.mark.parametrize("turn", ["LPS", "RAS", "LAS", "PSL", "SRA", "AIR"])
def test_a_roi_is_shown_alike_however_the_nifti_is_oriented(make, tmp_path, turn):
    scan, mask = make.scan(), make.mask()
    run_mask(tmp_path / "a", scan, mask)
    turned = []
    for path in (scan, mask):
        image = nibabel.load(path)
        way = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(turn)
        )
        turned.append(path.with_name("turned-" + path.name))
        nibabel.save(image.as_reoriented(way), turned[-1])
    run_mask(tmp_path / "b", *turned)
    np.testing.assert_array_equal(images(tmp_path / "a")[0], images(tmp_path / "b")[0])


def test_anterior_is_up_and_the_patients_left_is_on_the_right(make):
    values = np.full((9, 9, 3), 50, np.int16)
    values[0], values[8], values[:, 8], values[:, :, 2] = -900, 100, 200, 300  # x right to left end, y, z
    ras = np.diag([1.0, 1, 1, 1])  # first index runs to the right, second to the front, third up
    volume = nifti.read_volume(make.nifti("ras.nii", values, ras))
    assert 200 == volume.hu[0, 0, 4]  # anterior: row 0
    assert 100 == volume.hu[0, 4, 0]  # the patient's right: column 0
    assert -900 == volume.hu[0, 4, 8]  # the patient's left
    assert 300 == volume.hu[2, 4, 4]  # the highest slice is the last


def test_dicom_and_nifti_of_one_scan_give_the_same_volume(make):
    np.testing.assert_array_equal(nifti.read_volume(make.scan()).hu // 2 * 2, read_series(make.series(), None).hu)


def test_slices_taken_lying_on_the_front_are_turned_upright(make):
    upright = read_series(make.series(), None)
    turned = make.root / "prone"
    for index, path in enumerate(sorted((make.root / "Doe Jane").iterdir())):
        values = np.asarray(upright.hu[index]).T[::-1, ::-1]
        far = [-20 + 39 * 0.8, -30 + 31 * 0.8, 100 + index * 2.5]
        make.dicom(
            f"prone/{path.name}", values, index, ImageOrientationPatient=[-1, 0, 0, 0, -1, 0], ImagePositionPatient=far
        )
    np.testing.assert_array_equal(upright.hu, read_series(turned, None).hu)


def test_files_are_ordered_by_position_and_not_by_name_or_number(make):
    folder = make.series()
    before = read_series(folder, None).hu
    for index, path in enumerate(sorted(folder.iterdir())):
        make.edit(path, InstanceNumber=5 - index)
        path.rename(folder / f"{9 - index}")  # no suffix: told by its bytes
    np.testing.assert_array_equal(before, read_series(folder, None).hu)


def test_anisotropic_pixels_give_a_square_in_millimetres(make):
    values = np.full((40, 40, 1), 60, np.int16)
    values[18:22, 16:24] = 10  # 4 columns of 2 mm and 8 rows of 1 mm: 8 mm square
    values[0] = -1000
    scan = make.nifti("wide.nii", values, np.diag([-2.0, -1, 3, 1]))
    mask = make.nifti("mask.nii", (values == 10).astype(np.uint8), np.diag([-2.0, -1, 3, 1]))
    volume = nifti.read_volume(scan)
    masks, _ = read_mask(mask, volume, CutSettings(), "cyst")
    ((lesion,), _) = lesions_in(masks[0], volume, False, 0)
    roi = cut(volume, lesion, 0.0)
    assert pytest.approx(np.hypot(8, 8)) == lesion.diameter
    left, top, right, bottom = roi.box
    assert [np.hypot(8, 8) / 2, np.hypot(8, 8)] == pytest.approx([right - left, bottom - top], abs=1e-3)
    dark = grey(roi, CutSettings(size=64)) < 110
    assert abs(int(dark.any(axis=0).sum()) - int(dark.any(axis=1).sum())) <= 4


def test_outside_the_slice_is_air_and_the_lesion_stays_in_the_middle(make):
    roi = cut(nifti.read_volume(make.scan()), Lesion("cyst", 0, 0.0, 20.0, 8.0), margin=0.0)
    # 8 mm are 10 pixels about row 0: rows -4.5 to 5.5, so 5 whole or touched rows lie outside of 11.
    assert (11, 11) == roi.hu.shape
    assert (roi.hu[:5] == -1000).all() and (roi.hu[5:] > 0).all()
    assert pytest.approx(5 / 11) == roi.outside
    assert pytest.approx(5.5) == (roi.box[1] + roi.box[3]) / 2


# diameters and parts


def test_the_diameter_is_the_longest_line_between_pixel_corners():
    section = np.zeros((6, 9), bool)
    section[1:4, 2:6] = True
    assert 5.0 == diameter(section, 1.0, 1.0)  # 3 x 4
    assert pytest.approx(np.hypot(6, 2)) == diameter(section, 2.0, 0.5)


def test_a_lesion_gives_its_largest_cross_section_or_every_one(make, tmp_path):
    scan, mask = make.scan(), make.mask()
    run_mask(tmp_path / "one", scan, mask)
    run_mask(tmp_path / "all", scan, mask, every_slice=True)
    run_mask(tmp_path / "large", scan, mask, every_slice=True, min_diameter=6.0)
    assert ["2"] == [row["slice"] for row in rows(tmp_path / "one")]
    assert ["0", "1", "2", "3", "4"] == sorted(row["slice"] for row in rows(tmp_path / "all"))
    assert ["1", "2", "3"] == sorted(row["slice"] for row in rows(tmp_path / "large"))


def test_two_parts_are_two_lesions_and_small_ones_are_passed_over_aloud(make, tmp_path):
    marked = np.asarray(nibabel.load(make.mask()).dataobj).copy()
    marked[5, 5, 1] = 1
    mask = make.nifti("two.nii", marked)
    assert 2 == run_mask(tmp_path / "a", make.scan(), mask).classes["cyst"]
    summary = run_mask(tmp_path / "b", make.scan(), mask, min_diameter=2.0)
    assert 1 == summary.classes["cyst"] and any("1 smaller than 2 mm" in note for note in summary.notes)


def test_mask_values_have_classes_and_others_are_passed_over_aloud(make, tmp_path):
    marked = np.asarray(nibabel.load(make.mask()).dataobj).copy() * 2
    marked[4:8, 4:8, 1], marked[10:12, 25:28, 3] = 1, 7
    summary = run_mask(
        tmp_path / "out", make.scan(), make.nifti("m.nii", marked), mask_labels={1: "cyst", 2: "metastasis"}
    )
    assert {"cyst": 1, "metastasis": 1, "hemangioma": 0} == summary.classes
    assert any("7" in note for note in summary.notes)


# masks


@pytest.mark.parametrize("kind", ["mask", "seg", "nrrd", "pngs"])
def test_all_kinds_of_masks_mark_the_same_lesion_in_a_dicom_series(make, kind):
    volume = read_series(make.series(), None)
    masks, _ = read_mask(getattr(make, kind)(), volume, CutSettings(), "cyst")
    expected, _ = read_mask(make.mask("other.nii"), nifti.read_volume(make.scan()), CutSettings(), "cyst")
    np.testing.assert_array_equal(expected[0].marked, masks[0].marked)
    ((lesion,), _) = lesions_in(masks[0], volume, False, 0)
    assert (2, 12.0, 24.0) == (lesion.slice_, lesion.row, lesion.column)
    assert (volume.hu[masks[0].marked] == 10).all()


def test_an_nrrd_in_another_space_lies_where_it_says(make):
    volume = nifti.read_volume(make.scan())
    ras = np.diag([-0.8, -0.8, 2.5])
    mask = make.nrrd(**{"space": "right-anterior-superior", "space directions": ras, "space origin": (20, 30, 100)})
    masks, _ = read_mask(mask, volume, CutSettings(), "cyst")
    assert (volume.hu[masks[0].marked] == 10).all()


def test_segments_have_numbers_as_values(make, tmp_path):
    other = np.zeros((40, 32, 5), bool)
    other[3:6, 3:6, 0] = True
    ball = np.asarray(nibabel.load(make.mask()).dataobj) > 0
    seg = make.seg(layers={1: ball, 2: other, 3: np.ones((40, 32, 5), bool)})  # segments may overlap
    summary = run_mask(tmp_path / "out", make.series(), seg, mask_labels={1: "cyst", 2: "metastasis"})
    assert {"cyst": 1, "metastasis": 1, "hemangioma": 0} == summary.classes


# annotations


@pytest.mark.parametrize("named", ["12", "slice-2", "slice-2.dcm", f"{SERIES}.2"])
def test_an_annotation_names_a_dicom_slice_by_number_file_or_uid(make, tmp_path, named):
    table = make.table("a.csv", HEADER.format("diameter_mm"), f"Doe Jane,{named},24,12,10,cyst")
    run(tmp_path / "out", Request((make.series(),), annotations=table))
    (row,) = rows(tmp_path / "out")
    assert ("12", "10.000") == (row["slice"], row["diameter_mm"])


def test_a_diameter_in_pixels_is_counted_in_the_scans_own(make, tmp_path):
    table = make.table("a.csv", HEADER.format("diameter_px"), "scan,2,24,12,12.5,cyst")
    run(tmp_path / "out", Request((make.scan(),), annotations=table))
    assert "10.000" == rows(tmp_path / "out")[0]["diameter_mm"]


def test_pixel_boxes_of_single_key_slices_cut_the_lesion_of_each(make, tmp_path):
    """As DeepLesion gives them: a slice of each patient, centre and size of a box in its pixels."""
    rng, lines, scans = np.random.default_rng(1), [HEADER.format("diameter_px")], []
    for number in range(4):
        values = np.full((50, 60), 90, np.int16)
        x, y = (int(place) for place in rng.integers(12, 38, 2))
        values[x - 2 : x + 3, y - 2 : y + 3] = 10 * number
        values[0] = -1000
        name = f"00000{number}_01_01_109"
        uids = {"PatientID": f"P{number}", "SeriesInstanceUID": f"1.2.{number}", "SOPInstanceUID": f"1.2.{number}.1"}
        scans.append(make.dicom(f"{name}.dcm", values, **uids))
        lines.append(f"{name},{name},{x},{y},5,{'cyst' if number % 2 else 'metastasis'}")
    request = Request(tuple(scans), annotations=make.table("boxes.csv", *lines))
    summary = run(tmp_path / "out", request, margin=0.0, size=10, window_level=50, window_width=100)
    assert {"cyst": 2, "metastasis": 2, "hemangioma": 0} == summary.classes and 4 == summary.patients
    # Every image is its lesion and nothing else: 0, 10, 20, 30 of 100 HU.
    shades = sorted((int(image.min()), int(image.max())) for image in images(tmp_path / "out"))
    assert [(0, 0), (26, 26), (51, 51), (76, 76)] == shades


def test_an_annotation_counts_as_the_file_stores_it(make):
    values = np.asarray(nibabel.load(make.scan()).dataobj)
    ras = np.diag([0.8, 0.8, 2.5, 1.0])  # first index to the right, second to the front
    volume = nifti.read_volume(make.nifti("ras.nii", values, ras))
    assert 10 == values[24, 12, 2]
    column, row, slice_ = volume.shown(24, 12, 2)
    assert (15, 19, 2) == (round(column), round(row), slice_)  # 39 - 24, 31 - 12
    assert 10 == volume.hu[slice_, round(row), round(column)]


def test_scans_may_be_two_dimensional(make, tmp_path):
    values = np.asarray(nibabel.load(make.scan()).dataobj)[:, :, 2]
    marked = np.asarray(nibabel.load(make.mask()).dataobj)[:, :, 2]
    run_mask(tmp_path / "nifti", make.nifti("flat.nii", values), make.nifti("marked.nii", marked))
    run_mask(tmp_path / "dicom", make.dicom("one.dcm", values), make.png("any.png", marked.T))
    for name in ("nifti", "dicom"):
        (row,) = rows(tmp_path / name)
        assert ("12.00", "24.00") == (row["centre_row"], row["centre_column"])


def test_a_refused_lesion_leaves_an_empty_output_folder_as_it_was(make, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError):
        run_mask(tmp_path / "out", make.scan(), make.nifti("empty.nii", np.zeros((40, 32, 5), np.uint8)))
    assert ["given", "out"] == sorted(path.name for path in tmp_path.iterdir())
    assert [] == list((tmp_path / "out").iterdir())
