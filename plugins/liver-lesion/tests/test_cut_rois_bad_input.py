from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, generate_uid

from lesionbench import DatasetError, InputError, OutputError, SettingsError, UnreadableImage
from lesionbench_liver_lesion.cut_rois.case import Request
from lesionbench_liver_lesion.cut_rois.cut import cut_all
from lesionbench_liver_lesion.cut_rois.settings import CutSettings, parse_mask_labels

HEADER = "series,slice,x,y,diameter_mm,label"


def refused(
    scan: Path, mask: Path, *saying: str, error: type[InputError] = DatasetError, names: Path | None = None, **more: Any
) -> str:
    """Cutting is refused with one message that names the file and holds these texts, and nothing is written."""
    out = scan.parent.parent / "out"
    with pytest.raises(error) as raised:
        cut_all(Request((scan,), mask=mask, **more), CutSettings(label="cyst"), None, out)
    for text in (str(names or scan), *saying):
        assert text in str(raised.value)
    assert not out.exists() and not list(out.parent.glob(".out*"))
    return str(raised.value)


def refused_table(request: Request, *saying: str, error: type[InputError] = DatasetError, **settings: Any) -> None:
    with pytest.raises(error) as raised:
        cut_all(request, CutSettings(**settings), None, Path("never-written"))
    for text in saying:
        assert text in str(raised.value)
    assert not Path("never-written").exists()


# DICOM


@pytest.mark.parametrize(
    ("tags", "saying"),
    [
        ({"PixelData": None}, "pixel data"),
        ({"RescaleSlope": None}, "RescaleSlope is missing"),
        ({"RescaleIntercept": None}, "RescaleIntercept is missing"),
        ({"RescaleSlope": 0}, "slope"),
        ({"RescaleType": "US"}, "must be HU, not US"),
        ({"PixelSpacing": None}, "PixelSpacing"),
        ({"PixelSpacing": [0.8, -0.8]}, "above 0 mm"),
        ({"PixelSpacing": [0.8]}, "2 numbers are needed"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient (where it lies)"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "axial"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "perpendicular"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"PhotometricInterpretation": "RGB"}, "must be grey"),
        ({"PixelData": b"\0\0"}, "damaged"),
    ],
)
def test_a_slice_that_lacks_something_is_named_with_what_it_lacks(make, tags, saying):
    folder = make.series()
    make.edit(folder / "slice-3.dcm", **tags)
    refused(folder, make.seg(), saying, error=UnreadableImage, names=folder / "slice-3.dcm")


def test_a_syntax_that_no_codec_reads_is_named(make):
    from pydicom.pixels.decoders.base import get_decoder

    if get_decoder(JPEGLSLossless).is_available:
        pytest.skip("a codec for JPEG-LS is installed here")
    folder = make.series()
    data = pydicom.dcmread(folder / "slice-2.dcm")
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = JPEGLSLossless
    data.save_as(folder / "slice-2.dcm")
    refused(folder, make.seg(), "JPEG-LS Lossless", "pip install", error=UnreadableImage, names=folder / "slice-2.dcm")


def test_tags_that_cannot_be_read_and_unknown_syntaxes_are_refused_by_name(make):
    folder = make.series()
    path = folder / "slice-3.dcm"
    whole = path.read_bytes()
    damages = [
        (b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00C\x04"),  # the modality, of a kind that does not exist
        (b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00Cd"),  # the rows
        (b"\x28\x00\x11\x00US", b"\x28\x00\x13\x00US"),  # no columns
        (b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.7"),  # no syntax of pydicom's
    ]
    for before, after in damages:
        assert before in whole
        path.write_bytes(whole.replace(before, after))
        refused(folder, make.seg(), error=UnreadableImage, names=path)


def test_what_nibabel_mends_in_a_header_is_not_printed(make, capfd):
    scan = make.nifti("plain.nii", np.full((40, 32, 5), 7, np.int16))
    scan.write_bytes(b"\0\0\0\0" + scan.read_bytes()[4:])  # the header's own size
    refused(scan, make.mask())
    assert ("", "") == capfd.readouterr()


def test_two_series_in_a_folder_are_listed_until_one_is_chosen(make, tmp_path):
    folder = make.series()
    make.series("Doe Jane/other", SeriesInstanceUID="1.2.99")
    refused(folder, make.seg(), "1.2.826.0.1.99.7  (5 slices)", "1.2.99  (5 slices)", "--series UID")
    refused(folder, make.seg(), "no series 1.2.3", series="1.2.3")
    request = Request((folder,), mask=make.seg(), series="1.2.99")
    assert 1 == cut_all(request, CutSettings(label="cyst"), None, tmp_path / "cut").classes["cyst"]


def test_a_missing_slice_is_told_from_the_distances(make):
    folder = make.series()
    (folder / "slice-3.dcm").unlink()
    refused(folder, make.mask(), "slice-2.dcm and slice-4.dcm are 5 mm apart", "other slices 2.5 mm")


def test_two_phases_at_one_place_are_told_from_the_distances(make):
    folder = make.series()
    values = np.zeros((40, 32), np.int16)
    make.dicom("Doe Jane/again.dcm", values, 2, SOPInstanceUID=generate_uid())
    refused(folder, make.mask(), "again.dcm", "same place")


def test_a_slice_shifted_sideways_or_of_another_spacing_is_reported(make):
    folder = make.series()
    make.edit(folder / "slice-3.dcm", ImagePositionPatient=[-15, -30, 105])
    refused(folder, make.mask(), "slice-3.dcm is shifted")
    make.edit(folder / "slice-3.dcm", ImagePositionPatient=[-20, -30, 105], PixelSpacing=[1, 1])
    refused(folder, make.mask(), "spacing", names=folder / "slice-3.dcm")


def test_two_patients_in_one_series_are_told_without_naming_them(make):
    folder = make.series()
    make.edit(folder / "slice-3.dcm", PatientID="other")
    assert "other" not in refused(folder, make.mask(), "2 different PatientIDs")


def test_files_that_are_no_ct_or_damaged_are_named(make):
    folder = make.series()
    mr = make.dicom("one/mr.dcm", np.zeros((40, 32), np.int16), Modality="MR")
    refused(mr, make.mask(), "must be CT", "MR")
    (folder / "slice-2.dcm").write_bytes(b"no dicom at all")
    refused(folder, make.mask(), "damaged or none", names=folder / "slice-2.dcm")
    refused(make.pngs(), make.mask(), "there is none")
    refused(make.root / "nowhere", make.mask(), "no such scan")


def test_signed_values_stored_as_unsigned_ones_are_noticed(make):
    values = np.full((40, 32, 5), 60, np.uint16)
    values[0] = 65536 - 1000
    refused(make.nifti("wrapped.nii", values), make.mask(), "-32768 to 32767", "16-bit")


def test_a_scan_without_air_is_cut_with_a_doubt(make, tmp_path):
    scan = make.nifti("grey.nii", np.random.default_rng(1).integers(0, 255, (40, 32, 5)).astype(np.uint8))
    summary = cut_all(Request((scan,), mask=make.mask()), CutSettings(label="cyst"), None, tmp_path / "out")
    assert any("no air" in note and str(scan) in note for note in summary.notes)


# NIfTI


@pytest.mark.parametrize(
    ("values", "saying"),
    [
        (np.zeros((40, 32, 5, 2), np.int16), "4-D (40 x 32 x 5 x 2)"),
        (np.full((40, 32, 5), np.nan, np.float32), "must be a number"),
        (np.zeros((40, 32, 5), np.complex64), "plain numbers"),
        (np.zeros((40, 32, 5), np.int16), "every voxel is 0"),
    ],
)
def test_a_nifti_that_is_no_scan_is_named(make, values, saying):
    refused(make.nifti("bad.nii.gz", values), make.mask(), saying, error=UnreadableImage)


def test_a_nifti_that_does_not_say_how_it_lies_is_named(make):
    import nibabel

    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    path = make.path("lost.nii")
    nibabel.save(image, path)
    refused(path, make.mask(), "oriented")


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "gzip"])
def test_a_damaged_nifti_is_named(make, damage):
    scan = make.scan()
    whole = scan.read_bytes()
    broken = {"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b"", "gzip": gzip.compress(b"hello")}
    scan.write_bytes(broken[damage])
    refused(scan, make.mask(), "whole and readable", error=UnreadableImage)


# masks


def test_a_mask_of_another_shape_is_named(make):
    mask = make.nifti("small.nii", np.ones((40, 32, 4), np.uint8))
    refused(make.scan(), mask, "(4, 32, 40)", "(5, 32, 40)", names=mask)
    refused(
        make.series(), make.png("png/slice-1.png", np.ones((40, 32), np.uint8)), "(32, 40)", names=make.root / "png"
    )


@pytest.mark.parametrize("move", [(0, 3, 1.0), (0, 0, 0.9)])
def test_a_mask_on_another_grid_is_named(make, move):
    row, column, factor = move
    affine = make.affine()
    affine[row, column] += factor
    mask = make.nifti("moved.nii", np.ones((40, 32, 5), np.uint8), affine)
    refused(make.scan(), mask, "on the grid of its scan", names=mask)


def test_a_seg_of_another_place_or_without_a_segmentation_is_named(make):
    folder, seg = make.series(), make.seg()
    for path in folder.iterdir():
        z = float(pydicom.dcmread(path).ImagePositionPatient[2])
        make.edit(path, ImagePositionPatient=[-20, -30, z + 1])
    refused(folder, seg, "pixel for pixel", names=seg)
    refused(folder, make.edit(seg, PerFrameFunctionalGroupsSequence=None), "cannot be read", names=seg)
    refused(folder, folder / "slice-1.dcm", "binary or fractional SEG", names=folder / "slice-1.dcm")


def test_an_empty_mask_is_named(make):
    mask = make.nifti("empty.nii", np.zeros((40, 32, 5), np.uint8))
    refused(make.scan(), mask, "empty", names=mask)


def test_the_scan_given_as_its_own_mask_is_noticed(make):
    refused(make.scan(), make.scan(), "is it the scan?")


def test_a_mask_that_cannot_be_read_is_named(make):
    scan, folder = make.scan(), make.series()
    refused(scan, make.root / "none.nii", "no such mask", names=make.root / "none.nii")
    refused(scan, make.table("mask.txt", "hello"), "NIfTI, NRRD, DICOM SEG or PNG", names=make.root / "mask.txt")
    refused(scan, make.table("mask.nrrd", "hello"), "NRRD", names=make.root / "mask.nrrd")
    refused(folder, make.table("m.png", "hello"), "slice-01.dcm", names=make.root / "m.png")
    refused(folder, make.table("slice-1.png", "hello"), "damaged", names=make.root / "slice-1.png")
    refused(scan, make.pngs(), "PNG masks go with DICOM", names=make.root / "png")
    layers = make.nrrd("l.nrrd", np.zeros((2, 4, 4, 4), np.uint8), **{"space directions": [[np.nan] * 3, *np.eye(3)]})
    refused(scan, layers, "4-D", names=layers)
    refused(folder, make.png("rgb/slice-1.png", np.zeros((32, 40, 3), np.uint8)), "grey", names=make.root / "rgb")


def test_two_pngs_for_one_slice_are_refused(make):
    make.png("png/slice-3_again.png", np.ones((32, 40), np.uint8))
    refused(make.series(), make.pngs(), "a slice has one mask", names=make.root / "png")


def test_a_mask_without_the_values_asked_for_says_which_it_has(make):
    request = Request((make.scan(),), mask=make.mask(value=3))
    refused_table(request, "values (3)", "--mask-label 3=CLASS", mask_labels={1: "cyst"})
    refused_table(request, "--label CLASS", error=SettingsError)
    refused_table(request, "at least 500 mm", label="cyst", min_diameter=500)


# tables


@pytest.mark.parametrize(
    ("row", "saying"),
    [
        ("scan,2,39.6,12,10,cyst", "outside the 40 columns"),
        ("scan,2,24,-1,10,cyst", "outside"),
        ("scan,5,24,12,10,cyst", "none of the slices 0 to 4"),
        ("scan,2,24,12,10,tumour", "'tumour' is none of the classes"),
        ("scan,2,24,12,10,Cyst", "did you mean 'cyst'"),
        ("scan,2,24,12,-3,cyst", "above 0"),
        ("scan,2,24,12,0,cyst", "above 0"),
        ("scan,2,24,12,ten,cyst", "must be a number"),
        ("scan,2,nan,12,10,cyst", "must be a number"),
        ("scan,2,24,inf,10,cyst", "must be a number"),
        ("scan,2,24,12,10,", "label is empty"),
        ("scan,2,24,12,9999,cyst", "smaller than its slice"),
        ("other,2,24,12,10,cyst", "none of the scans"),
    ],
)
def test_a_bad_row_is_named_with_its_line(make, row, saying):
    table = make.table("a.csv", HEADER, "scan,2,20,12,10,cyst", row)
    error = InputError
    refused_table(Request((make.scan(),), annotations=table), f"{table} line 3", saying, error=error)


def test_a_table_without_the_columns_or_not_in_utf_8_is_named(make):
    scan = make.scan()
    for name, lines, saying in (
        ("a.csv", ["series,slice,x,y,label"], "diameter_mm or diameter_px"),
        ("b.csv", [HEADER + ",diameter_px"], "diameter_mm or diameter_px"),
        ("c.csv", ["serie,slice,x,y,diameter_mm,label"], "did you mean 'serie'"),
        ("d.csv", [HEADER], "only its header"),
        ("e.csv", [""], "no column"),
    ):
        refused_table(Request((scan,), annotations=make.table(name, *lines)), name, saying)
    table = make.table("latin.csv", HEADER, "scän,2,24,12,10,cyst", encoding="latin-1")
    refused_table(Request((scan,), annotations=table), str(table), "UTF-8")
    refused_table(Request((scan,), annotations=make.root / "no.csv"), "no.csv")
    refused_table(Request(cases=make.table("f.csv", "scan,label")), "no column 'mask'")
    refused_table(Request(cases=make.table("g.csv", "scan,mask,label", "a.nii,,cyst")), "line 2", "mask is empty")


def test_one_lesion_cannot_be_given_twice(make):
    table = make.table("a.csv", HEADER, "scan,2,24,12,10,cyst", "scan,2,24,12,10,metastasis")
    refused_table(Request((make.scan(),), annotations=table), "given twice", "cyst, metastasis")


def test_several_scans_must_say_whose_they_are(make):
    make.scan("b.nii"), make.mask(), make.nifti("a.nii", np.asarray(np.indices((40, 32, 5))[0] * -20, np.int16))
    table = make.table("c.csv", "scan,mask,label", "a.nii,mask.nii.gz,cyst", "b.nii,mask.nii.gz,cyst")
    refused_table(Request(cases=table), "a.nii", "whose scan", "column patient")
    table = make.table("d.csv", "scan,mask,label,patient", "a.nii,mask.nii.gz,cyst,P", "b.nii,mask.nii.gz,cyst,")
    refused_table(Request(cases=table), "line 3", "patient is empty")


def test_pixels_that_are_not_square_need_a_diameter_in_mm(make):
    scan = make.nifti("wide.nii", np.indices((40, 32, 5))[0].astype(np.int16), np.diag([-2.0, -1, 3, 1]))
    table = make.table("a.csv", HEADER.replace("_mm", "_px"), "wide,2,20,12,10,cyst")
    refused_table(Request((scan,), annotations=table), "not square", "diameter_mm")


# options and output


@pytest.mark.parametrize(
    "settings",
    [
        {"margin": -0.1},
        {"margin": float("nan")},
        {"window_width": 0},
        {"window_level": float("inf")},
        {"size": 7},
        {"min_diameter": -1},
        {"classes": ("../up", "b")},
        {"classes": ("a", "a")},
        {"label": "tumour"},
        {"mask_labels": {1: "tumour"}},
        {"label": "cyst", "mask_labels": {1: "cyst"}},
    ],
)
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(SettingsError):
        CutSettings(**settings)


@pytest.mark.parametrize("texts", [["1"], ["x=cyst"], ["0=cyst"], ["-1=cyst"], ["1=cyst", "1=metastasis"], ["1.5=a"]])
def test_a_mask_label_must_be_a_value_and_a_class(texts):
    with pytest.raises(SettingsError, match="mask"):
        parse_mask_labels(texts)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"scans": (Path("a"),)},
        {"mask": Path("m")},
        {"scans": (Path("a"), Path("b")), "mask": Path("m")},
        {"scans": (Path("a"),), "mask": Path("m"), "annotations": Path("t")},
        {"scans": (Path("a"),), "cases": Path("c")},
        {"cases": Path("c"), "patient": "P"},
        {"scans": (Path("a"),), "annotations": Path("t"), "patient": "P"},
    ],
)
def test_lesions_are_given_in_one_way_only(given):
    with pytest.raises(SettingsError):
        Request(**given)


def test_an_output_folder_that_holds_files_is_left_as_it_is(make, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    request = Request((make.scan(),), mask=make.mask())
    for place in (out, out / "mine.txt", out / "mine.txt" / "below"):
        with pytest.raises(OutputError, match=str(place.parent if place.name == "below" else place)):
            cut_all(request, CutSettings(label="cyst"), None, place)
    assert ["mine.txt"] == [path.name for path in out.iterdir()]


def test_a_disk_that_fills_up_leaves_nothing(make, tmp_path, monkeypatch):
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lesionbench_liver_lesion.cut_rois.output._write_table", full)
    with pytest.raises(OutputError, match="No space left on device"):
        cut_all(Request((make.scan(),), mask=make.mask()), CutSettings(label="cyst"), None, tmp_path / "out")
    assert ["given"] == [path.name for path in tmp_path.iterdir()]


def test_a_short_salt_is_refused(make, tmp_path):
    with pytest.raises(SettingsError, match="8 characters"):
        cut_all(Request((make.scan(),), mask=make.mask()), CutSettings(label="cyst"), "short", tmp_path / "out")


def test_two_series_of_one_folder_must_say_whose_they_are_too(make):
    unnamed = {"PatientID": None, "PatientName": None}
    make.series("both", **unnamed), make.series("both/later", SeriesInstanceUID="1.2.99", **unnamed), make.nrrd()
    rows = [f"both,mask.nrrd,cyst,{series}" for series in ("1.2.826.0.1.99.7", "1.2.99")]
    refused_table(Request(cases=make.table("c.csv", "scan,mask,label,series", *rows)), "whose scan", "column patient")


def test_patients_are_named_in_one_way(make):
    make.series("a"), make.series("b", PatientID=None), make.nrrd()
    table = make.table("c.csv", "scan,mask,label", "a,mask.nrrd,cyst", "b,mask.nrrd,cyst")
    refused_table(Request(cases=table), "PatientID in", "PatientName in", "column patient")


@pytest.mark.parametrize("compressed", [True, False])
def test_a_nifti_file_whose_header_promises_more_voxels_than_it_holds_is_refused_unread(make: Any, compressed: bool):
    scan = make.scan("scan.nii")
    whole = bytearray(scan.read_bytes())
    whole[42:48] = np.array([32_767] * 3, "<i2").tobytes()  # the sizes in the header
    damaged = make.path("big/big.nii.gz" if compressed else "big/big.nii")
    damaged.write_bytes(gzip.compress(whole) if compressed else bytes(whole))

    refused(damaged, make.mask(), "32767 x 32767 x 32767 do not fit into this file")
