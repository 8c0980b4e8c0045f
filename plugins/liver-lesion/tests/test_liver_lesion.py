from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionbench import DatasetError
from lesionbench.pipeline.split import divide, group_status, splits
from lesionbench.testing import dataset_checks
from lesionbench_liver_lesion import LiverLesion

CLASSES = ("cyst", "metastasis", "hemangioma")
WAIVED = LiverLesion(groups="waived")
PATIENTS = 6


def shades(label: str, patient: int) -> np.ndarray:
    """A grey square with a darker middle, of its own for every class and patient: uint8 (20, 20)."""
    square = np.full((20, 20), 100 + 10 * patient + CLASSES.index(label), np.uint8)
    square[6:14, 6:14] //= 2
    return square


def draw_rois(root: Path, suffix: str = ".png", name: str = "p{patient:02d}_{lesion}") -> Path:
    """Six patients with one lesion of every class."""
    for lesion, label in enumerate(CLASSES):
        (root / label).mkdir(parents=True)
        for patient in range(PATIENTS):
            path = root / label / (name.format(patient=patient, lesion=lesion) + suffix)
            if suffix == ".npy":
                np.save(path, shades(label, patient))
            else:
                Image.fromarray(shades(label, patient)).save(path)
    return root


def write_patients(root: Path, *more: str, leave_out: str = "", header: str = "file,patient") -> None:
    """A row for every image: patient p00 to p05, whatever the files are called."""
    rows = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for number, path in enumerate(sorted(folder.iterdir())):
            file = path.relative_to(root).as_posix()
            rows += [f"{file},p{number:02d}"] if file != leave_out else []
    (root / "patients.csv").write_text("\n".join([header, *rows, *more]) + "\n", encoding="utf-8")


@pytest.fixture
def rois(tmp_path):
    return draw_rois(tmp_path / "liver")


@pytest.fixture
def unnamed(tmp_path):
    return draw_rois(tmp_path / "liver", name="{patient}")


def refused(root: Path | None, *saying: str, settings: LiverLesion | None = None) -> None:
    with pytest.raises(DatasetError) as error:
        (settings or LiverLesion()).load(root)
    for text in saying:
        assert text in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def replace_with(root: Path, array: np.ndarray, file: str = "cyst/p00_0.png") -> Path:
    """Put an array in the place of an image: .npy, or PNG for what PNG can hold."""
    path = root / file
    path.unlink()
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


# reading


def test_class_folders_are_read_in_the_papers_order(rois):
    images = LiverLesion().load(rois).images
    assert images.classes == CLASSES
    assert images.images.shape == (18, 64, 64, 1)
    assert images.labels.tolist() == [CLASSES.index(name.split("/")[0]) for name in images.ids]
    assert images.ids.tolist() == sorted(images.ids)


def test_there_is_no_official_split_but_there_are_folds(rois):
    data = LiverLesion().load(rois)
    assert data.is_test is None
    assert len(splits(data, divide(data, 3, 0.5, 0))) == 3


def test_class_folders_may_be_written_in_any_case_and_other_classes_follow(rois):
    (rois / "cyst").rename(rois / "Cyst")
    (rois / "metastasis").rename(rois / "abscess")
    assert LiverLesion().load(rois).images.classes == ("cyst", "hemangioma", "abscess")


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".npy", ".bmp"])
def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path, suffix):
    images = LiverLesion(size=20).load(draw_rois(tmp_path, suffix)).images
    assert np.array_equal(shades("cyst", 0), images.images[0, ..., 0])


def test_a_grey_image_saved_as_rgb_jpeg_is_grey(tmp_path):
    draw_rois(tmp_path)
    for path in tmp_path.glob("*/*.png"):
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"))
        path.unlink()
    images = LiverLesion(size=20).load(tmp_path).images
    assert np.abs(images.images[0, ..., 0] - shades("cyst", 0).astype(int)).mean() < 4


def test_resizing_is_bicubic(rois):
    expected = Image.fromarray(shades("cyst", 0)).resize((64, 64), Image.Resampling.BICUBIC)
    found = LiverLesion().load(rois).images.images[0, ..., 0]
    assert np.abs(np.asarray(expected, np.int16) - found).max() <= 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LiverLesion(size=8), {-200: 0, -140: 0, 60: 128, 160: 191, 260: 255, 900: 255}),
        (LiverLesion(size=8, window_level=100, window_width=200), {-5: 0, 50: 64, 100: 128, 200: 255}),
    ],
)
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_hu_arrays_are_windowed(tmp_path, settings, expected, dtype):
    for hu, grey in expected.items():
        root = tmp_path / f"hu{hu}"
        draw_rois(root, ".npy")
        for path in root.glob("*/*.npy"):
            np.save(path, np.full((8, 8), hu, dtype))
        data = settings.load(root)
        assert set(data.images.images.ravel().tolist()) == {grey}
        assert "HU are shown in a window" in data.notes[0]


def draw_wide(root: Path, low: int, high: int) -> Path:
    draw_rois(root)
    for path in root.glob("*/*.png"):
        values = np.full((8, 8), low, np.uint16)
        values[4:] = high
        Image.fromarray(values).save(path)
    return root


def test_16_bit_images_are_scaled_by_one_rule_and_the_user_learns_it(tmp_path):
    data = LiverLesion(size=8).load(draw_wide(tmp_path, 257 * 10, 65535))
    assert set(data.images.images.ravel().tolist()) == {10, 255}
    assert data.notes == ("16-bit grey values 0 to 65535 are shown as 0 to 255, in every image alike",)


def test_16_bit_images_that_hold_hu_with_an_offset_are_windowed(tmp_path):
    data = LiverLesion(size=8, hu_offset=1024).load(draw_wide(tmp_path, 1024 + 60, 1024 + 160))
    assert set(data.images.images.ravel().tolist()) == {128, 191}


def test_12_bit_values_in_16_bit_images_are_not_shown_black(tmp_path):
    refused(draw_wide(tmp_path, 0, 4095), "nearly black", "liver-lesion[hu_offset=1024]")


# patients


def test_patients_are_read_from_the_file_names(rois):
    data = LiverLesion().load(rois)
    assert data.groups_known
    assert group_status(data, "3") == "apart"
    assert data.images.groups.tolist() == list(range(PATIENTS)) * 3
    assert data.notes == ()


@pytest.mark.parametrize(
    "name", ["p{patient:02d}_{lesion}", "{patient}_{lesion:03d}", "a_{patient}_0f3c98ab77d1{lesion}"]
)
def test_the_name_of_a_file_ends_in_the_lesions_number_or_hash(tmp_path, name):
    data = LiverLesion().load(draw_rois(tmp_path, name=name))
    assert data.images.groups.tolist() == list(range(PATIENTS)) * 3


def test_patients_csv_wins_over_file_names(rois):
    write_patients(rois)
    table = rois / "patients.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",p01", ",p00"), encoding="utf-8")
    data = LiverLesion().load(rois)
    assert data.images.groups.tolist() == [0, 0, 1, 2, 3, 4] * 3
    assert table in LiverLesion().sources(rois)


def test_patients_csv_may_come_from_a_spreadsheet(unnamed):
    write_patients(unnamed)
    table = unnamed / "patients.csv"
    text = table.read_text(encoding="utf-8").replace(",", ";").replace("/", "\\")
    table.write_text(text, encoding="utf-8-sig")
    assert LiverLesion().load(unnamed).groups_known


def test_without_patients_images_are_refused_and_it_is_said_what_to_type(unnamed):
    refused(unnamed, "cyst/0.png (18 of 18 files)", "liver-lesion[groups=waived]", "patients.csv")


def test_one_file_called_otherwise_is_enough_to_refuse_and_is_named(rois):
    (rois / "hemangioma" / "p03_2.png").rename(rois / "hemangioma" / "lesion_3.png")
    refused(rois, "hemangioma/lesion_3.png (1 of 18 files)", "PATIENT_LESION")


def test_a_word_and_a_number_are_no_patient_and_lesion(tmp_path):
    refused(draw_rois(tmp_path, name="IMG_{patient}{lesion}"), "cyst/IMG_00.png")


def test_waived_patients_are_said_aloud(unnamed):
    data = WAIVED.load(unnamed)
    assert not data.groups_known
    assert group_status(data, "3") == "waived"
    assert len(set(data.images.groups.tolist())) == 18
    assert data.notes[0].startswith("patients are waived")


def test_waiving_passes_over_patients_csv_and_says_so(rois):
    write_patients(rois)
    assert "patients.csv is there and is not read" in WAIVED.load(rois).notes[0]


def test_an_image_without_a_row_is_named(rois):
    write_patients(rois, leave_out="cyst/p03_0.png")
    refused(rois, "patients.csv must have a row for every image, but cyst/p03_0.png has none")


def test_a_row_without_an_image_is_named(rois):
    write_patients(rois, "cyst/p33_0.png,p33")
    refused(rois, "patients.csv line 20: there is no image 'cyst/p33_0.png'; did you mean")


def test_two_rows_for_one_image_are_refused(rois):
    write_patients(rois, "cyst/p00_0.png,p00")
    refused(rois, "line 20: an image may stand once, but cyst/p00_0.png is on line 2 too")


def test_an_empty_patient_is_refused(rois):
    write_patients(rois, "metastasis/p00_1.png, ", leave_out="metastasis/p00_1.png")
    refused(rois, "the patient of metastasis/p00_1.png is empty")


@pytest.mark.parametrize("spelling", ["P00", "p 00"])
def test_one_patient_spelled_two_ways_is_refused(rois, spelling):
    write_patients(rois, f"metastasis/p00_1.png,{spelling}", leave_out="metastasis/p00_1.png")
    refused(rois, "one patient must be spelled one way", "'p00' (cyst/p00_0.png)", f"{spelling!r} (metastasis/p00")


def test_file_names_spell_a_patient_one_way_too(rois):
    (rois / "cyst" / "p03_0.png").rename(rois / "cyst" / "P03_0.png")
    refused(rois, "'P03' (cyst/P03_0.png) and 'p03' (hemangioma/p03_2.png)")


def test_a_patients_csv_without_its_columns_is_refused(rois):
    write_patients(rois, header="name,patient")
    refused(rois, "must have the columns file and patient, but lacks file")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'file,patient\n"open'])
def test_a_patients_csv_that_is_no_such_table_is_refused(rois, content):
    (rois / "patients.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"patients\.csv"):
        LiverLesion().load(rois)


def test_images_of_one_patient_cannot_be_divided(tmp_path):
    refused(draw_rois(tmp_path, name="p1_{patient}"), "at least two patients", "p1")


# bad input


def test_no_folder_asks_for_data():
    refused(None, "data='DIR'")


def test_a_missing_folder_is_named(tmp_path):
    refused(tmp_path / "gone", str(tmp_path / "gone"))


def test_a_folder_of_scans_is_sent_to_cut_rois(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    refused(tmp_path, "no image was found", "lesionbench data cut-rois")


def test_an_empty_class_folder_is_named(rois):
    shutil.rmtree(rois / "cyst")
    (rois / "cyst").mkdir()
    refused(rois, f"{rois / 'cyst'}: a class folder must hold images")


def test_one_class_is_not_enough(rois):
    shutil.rmtree(rois / "cyst")
    shutil.rmtree(rois / "metastasis")
    refused(rois, "at least two classes", "only hemangioma")


def test_an_image_beside_the_class_folders_is_named(rois):
    shutil.copy(rois / "cyst" / "p00_0.png", rois / "p00_9.png")
    refused(rois, f"{rois / 'p00_9.png'}: an image must lie in class folders")


def test_one_image_in_two_formats_is_refused(rois):
    np.save(rois / "cyst" / "p00_0.npy", shades("cyst", 0))
    refused(rois, "cyst/p00_0.png: an image may be there once, but p00_0.npy is there too")


def test_an_image_with_colours_is_refused(rois):
    path = replace_with(rois, np.full((20, 20, 3), (200, 100, 90), np.uint8))
    refused(rois, f"{path}: an image must be grey")


@pytest.mark.parametrize("shape", [(20, 30), (40, 20)])
def test_an_image_far_from_square_is_refused(rois, shape):
    path = replace_with(rois, np.zeros(shape, np.uint8))
    refused(rois, f"{path}: an image must be square", f"not {shape[1]}x{shape[0]} pixels")


def test_of_an_image_nearly_square_the_middle_is_taken(rois):
    square = np.zeros((20, 22), np.uint8)
    square[:, 1:-1] = 200
    replace_with(rois, square)
    assert set(LiverLesion(size=20).load(rois).images.images[0].ravel().tolist()) == {200}


@pytest.mark.parametrize(
    ("array", "saying"),
    [
        (np.full((8, 8), np.nan), "some are NaN or infinite"),
        (np.full((8, 8), -np.inf, np.float32), "some are NaN or infinite"),
        (np.zeros((8, 8, 3), np.uint8), "not shape (8, 8, 3)"),
        (np.zeros((8, 8), np.uint16), "not uint16"),
        (np.zeros((8, 8), bool), "not bool"),
        (np.zeros((8, 8), complex), "not complex128"),
        (np.zeros((3, 3), np.uint8), "at least 4 pixels"),
        (np.zeros((0, 0), np.uint8), "at least 4 pixels"),
        (np.array([["a"]], object), "must hold one array of numbers"),
    ],
)
def test_an_array_that_is_no_slice_is_refused(tmp_path, array, saying):
    path = replace_with(draw_rois(tmp_path, ".npy"), array, "cyst/p00_0.npy")
    refused(tmp_path, f"{path}: ", saying)


@pytest.mark.parametrize("suffix", [".png", ".npy", ".jpg"])
@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x10\0"])
def test_a_damaged_file_is_named(rois, suffix, content):
    (rois / "cyst" / "p00_0.png").unlink()
    path = rois / "cyst" / f"p00_0{suffix}"
    path.write_bytes(content)
    refused(rois, f"{path}: ")


def test_16_bit_colours_are_refused(rois):
    path = rois / "cyst" / "p00_0.png"
    content = bytearray(path.read_bytes())
    content[24:26] = b"\x10\x02"
    path.write_bytes(content)
    refused(rois, f"{path}: a 16-bit PNG must be plain grey")


def test_a_set_that_mixes_hu_and_grey_is_refused(rois):
    (rois / "cyst" / "p00_0.png").unlink()
    np.save(rois / "cyst" / "p00_0.npy", np.zeros((20, 20), np.int16))
    refused(rois, "the same kind of values", "HU (", "8-bit grey values (")


def test_arrays_from_0_to_1_are_not_taken_for_hu(tmp_path):
    draw_rois(tmp_path, ".npy")
    for path in tmp_path.glob("*/*.npy"):
        np.save(path, np.load(path) / 255)
    refused(tmp_path, "all values lie in 0..1")


def test_every_problem_is_listed(rois):
    write_patients(rois, "gone.png,p9", leave_out="cyst/p03_0.png")
    (rois / "cyst" / "p00_0.png").write_bytes(b"")
    (rois / "abscess").mkdir()
    lines = LiverLesion().problems(rois)
    for line, text in zip(lines, ["abscess", "gone.png", "cyst/p03_0.png has none", "p00_0.png: "], strict=True):
        assert text in line
    with pytest.raises(DatasetError, match="3 things are wrong") as error:
        LiverLesion().load(rois)
    assert "lesionbench data check liver-lesion data=" in str(error.value)


def test_good_data_has_no_problems(rois):
    assert LiverLesion().problems(rois) == []


# the contract


@pytest.fixture(scope="module")
def contract_root(tmp_path_factory):
    root = draw_rois(tmp_path_factory.mktemp("liver-lesion"))
    write_patients(root)
    return root


@pytest.mark.parametrize("name", [check.__name__ for check in dataset_checks()])
def test_liver_lesion_keeps_the_contract(name, contract_root):
    check = {check.__name__: check for check in dataset_checks(contract_root)}[name]
    check(LiverLesion)
