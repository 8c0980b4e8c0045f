from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionbench.builtin.folder import Folder
from lesionbench.errors import DatasetError
from lesionbench.pipeline.split import group_status
from lesionbench.plugins import Plugins
from lesionbench.spelling import spec_of
from lesionbench.testing import dataset_checks

GREY, RED = (90, 90, 90), (200, 30, 30)


def draw(root: Path, names: list[str], colour: tuple[int, int, int] = RED) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), colour).save(path)


def write(root: Path, *lines: str, name: str = "table.csv", encoding: str = "utf-8") -> None:
    (root / name).write_bytes("\n".join(lines).encode(encoding))


@pytest.fixture
def classes(tmp_path):
    """Three images in two class folders."""
    draw(tmp_path, ["nevus/b.png", "nevus/deep/a.jpg", "melanoma/z.png"])
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    """Four images without class folders."""
    draw(tmp_path, [f"images/{n}.png" for n in range(4)])
    return tmp_path


def table(**settings: object) -> Folder:
    return Folder.model_validate({"table": "table.csv", "size": 8} | settings)


def refused(settings: Folder, root: Path | None, *saying: str) -> str:
    """Loading is refused with one message that holds these texts."""
    with pytest.raises(DatasetError) as error:
        settings.load(root)
    for text in saying:
        assert text in str(error.value)
    return str(error.value)


# class folders


def test_class_folders_give_sorted_classes_and_images_in_the_order_of_their_paths(classes):
    data = Folder().load(classes)
    assert data.images.classes == ("melanoma", "nevus")
    assert data.images.ids.tolist() == ["melanoma/z.png", "nevus/b.png", "nevus/deep/a.jpg"]
    assert data.images.labels.tolist() == [0, 1, 1]
    assert data.images.shape == (64, 64, 3)
    assert data.is_test is None


def test_without_a_group_column_every_image_is_a_group_and_the_user_learns_it(classes):
    data = Folder().load(classes)
    assert len(set(data.images.groups.tolist())) == 3
    assert not data.groups_known
    assert group_status(data, 5) == "waived"
    assert any("not known which images show the same patient or lesion" in note for note in data.notes)


def test_train_and_test_folders_are_the_official_split(tmp_path):
    draw(tmp_path, ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/2.png"])
    data = Folder().load(tmp_path)
    assert data.images.classes == ("a", "b")
    assert data.images.ids[data.is_test].tolist() == ["test/a/1.png", "test/b/2.png"]


def test_a_validation_folder_counts_as_train_and_the_user_learns_it(tmp_path):
    draw(tmp_path, [f"{part}/{label}/1.png" for part in ("Train", "Test", "val") for label in "ab"])
    data = Folder().load(tmp_path)
    assert data.images.ids[~data.is_test].tolist() == ["Train/a/1.png", "Train/b/1.png", "val/a/1.png", "val/b/1.png"]
    assert any(note.startswith("2 images called validation") for note in data.notes)


def test_what_stands_beside_train_and_test_is_not_read_and_the_user_learns_it(tmp_path):
    draw(tmp_path, [f"{part}/{label}/1.png" for part in ("train", "test", "data/train") for label in "ab"])
    data = Folder().load(tmp_path)
    assert len(data.images) == 4
    assert any(note.endswith("beside train and test: data") for note in data.notes)


def test_a_link_to_the_folder_gives_the_same_images(classes, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(classes)
    assert Folder().load(link).images.ids.tolist() == Folder().load(classes).images.ids.tolist()


# channels and size


@pytest.mark.parametrize(
    ("channels", "colour", "expected"),
    [("auto", GREY, 1), ("auto", RED, 3), ("1", RED, 1), ("3", GREY, 3), (3, GREY, 3)],
)
def test_the_number_of_channels_follows_the_setting_and_then_the_images(tmp_path, channels, colour, expected):
    draw(tmp_path, ["a/1.png", "b/1.png"], colour)
    data = Folder.model_validate({"channels": channels, "size": 16}).load(tmp_path)
    assert data.images.shape == (16, 16, expected)
    assert data.images.images.flags.c_contiguous


def test_one_coloured_image_makes_all_of_them_colour(tmp_path):
    draw(tmp_path, ["a/1.png", "b/1.png"], GREY)
    draw(tmp_path, ["b/2.png"], RED)
    assert Folder().load(tmp_path).images.shape == (64, 64, 3)


# tables


def test_a_table_gives_labels_groups_and_split(flat):
    write(
        flat,
        "path,label,group,split",
        "images/3.png,nevus,p1,train",
        "images/0.png,melanoma,p1,train",
        "images/2.png,nevus,p2,test",
        "images/1.png,melanoma,p3,TEST",
    )
    data = table().load(flat)
    assert data.images.ids.tolist() == ["images/0.png", "images/1.png", "images/2.png", "images/3.png"]
    assert data.images.labels.tolist() == [0, 0, 1, 1]
    assert data.is_test.tolist() == [False, True, True, False]
    assert data.images.groups[0] == data.images.groups[3]
    assert len(set(data.images.groups.tolist())) == 3
    assert data.groups_known
    assert data.notes == ()


def test_columns_may_have_other_names(flat):
    write(flat, "file,dx,lesion,part", "images/0.png,a,1,train", "images/1.png,b,2,train")
    data = table(path_column="file", label_column="dx", group_column="lesion").load(flat)
    assert data.groups_known
    assert data.is_test is None


def test_a_table_without_group_and_split_columns_is_enough(flat):
    write(flat, "path,label", "images/0.png,a", "images/1.png,b")
    data = table().load(flat)
    assert not data.groups_known
    assert data.is_test is None


def test_an_empty_setting_leaves_a_column_unread(flat):
    write(flat, "path,label,group,split", "images/0.png,a,1,fold-1", "images/1.png,b,2,fold-2")
    data = table(split_column="", group_column="").load(flat)
    assert data.is_test is None
    assert not data.groups_known


def test_a_spreadsheets_semicolons_byte_order_mark_and_backslashes_are_understood(flat):
    lines = ["path;label;group", "images\\0.png;a, or b;1", "images\\1.png;c;2", ""]
    (flat / "table.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    data = table().load(flat)
    assert data.images.ids.tolist() == ["images/0.png", "images/1.png"]
    assert data.images.classes == ("a, or b", "c")


def test_validation_rows_count_as_train_and_the_user_learns_it(flat):
    rows = ["images/0.png,a,train", "images/1.png,b,val", "images/2.png,a,test", "images/3.png,b,test"]
    write(flat, "path,label,split", *rows)
    data = table().load(flat)
    assert data.is_test.tolist() == [False, False, True, True]
    assert any(note.startswith("1 images called validation") for note in data.notes)


SHARED = ["images/0.png,a,1,train", "images/1.png,b,2,train", "images/2.png,a,1,test", "images/3.png,b,3,test"]


def test_a_group_on_both_sides_is_left_to_the_split(flat):
    write(flat, "path,label,group,split", *SHARED)
    data = table().load(flat)
    assert not data.keep_shared_groups
    assert group_status(data, "official") == "shared"


def test_shared_groups_are_kept_when_asked_for_and_the_user_learns_how_many(flat):
    write(flat, "path,label,group,split", *SHARED)
    data = table(keep_shared_groups=True).load(flat)
    assert data.keep_shared_groups
    assert data.notes == ("1 of 2 test images have a group that is also in train, and are kept",)


def test_only_what_is_read_is_a_source(flat):
    write(flat, "path,label", "images/3.png,a", "images/0.png,b")
    (flat / "notes.txt").touch()
    assert table().sources(flat) == [flat / "table.csv", flat / "images/0.png", flat / "images/3.png"]


def test_a_text_beside_class_folders_is_no_source(classes):
    (classes / "README.md").touch()
    (classes / "nevus" / "Thumbs.db").touch()
    names = ["melanoma/z.png", "nevus/b.png", "nevus/deep/a.jpg"]
    assert Folder().sources(classes) == [classes / name for name in names]


# bad input


def test_no_folder_asks_for_data():
    refused(Folder(), None, "data='DIR'")


def test_a_missing_folder_is_named(tmp_path):
    refused(Folder(), tmp_path / "gone", str(tmp_path / "gone"), "must exist")


def test_an_empty_folder_is_refused(tmp_path):
    refused(Folder(), tmp_path, str(tmp_path), "none was found")


def test_one_class_is_refused(tmp_path):
    draw(tmp_path, ["nevus/1.png"])
    refused(Folder(), tmp_path, "at least two classes", "nevus")


def test_a_class_folder_without_images_is_named(classes):
    (classes / "bcc").mkdir()
    refused(Folder(), classes, f"{classes / 'bcc'}: a class folder must hold images")


def test_images_without_class_folders_are_refused_and_the_table_is_suggested(tmp_path):
    draw(tmp_path, ["1.png", "2.png"])
    write(tmp_path, "path,label", name="metadata.csv")
    refused(Folder(), tmp_path, "class folders", "folder[table=metadata.csv]")


def test_an_image_beside_the_class_folders_is_named(classes):
    draw(classes, ["montage.png"])
    refused(Folder(), classes, f"{classes / 'montage.png'}: lies in no class folder")


def test_a_train_folder_without_a_test_folder_is_refused(tmp_path):
    draw(tmp_path, ["train/a/1.png", "train/b/1.png"])
    refused(Folder(), tmp_path, "both a folder train and a folder test")


def test_a_class_that_is_missing_from_test_is_named(tmp_path):
    draw(tmp_path, ["train/a/1.png", "train/b/1.png", "test/a/1.png"])
    refused(Folder(), tmp_path, "'b' has none in test")


def test_a_missing_table_is_named_with_what_there_is(flat):
    write(flat, "path,label", name="tables.csv")
    refused(table(), flat, "no such table", "did you mean 'tables.csv'?")


def test_a_missing_column_is_named_with_what_there_is(flat):
    write(flat, "path,labels", "images/0.png,a")
    refused(table(), flat, "no column 'label'", "did you mean 'labels'?", "label_column=COLUMN")


def test_a_group_column_that_was_asked_for_must_be_there(flat):
    write(flat, "path,label,patient_id", "images/0.png,a,1")
    refused(table(group_column="patient"), flat, "no column 'patient'", "did you mean 'patient_id'?")


GOOD = "images/3.png,b,9,train"


@pytest.mark.parametrize(
    ("row", "saying"),
    [
        ("images/9.png,a,1,train", "there is no file"),
        ("images/3.png,a,1,train", "images/3.png is on line 2 too"),
        ("images/../images/3.png,a,1,train", "must lie in"),
        ("/etc/passwd,a,1,train", "must lie in"),
        (",a,1,train", "path of the image is empty"),
        ("images/0.png,,1,train", "label is empty"),
        ("images/0.png,a, ,train", "group is empty"),
        ("images/0.png,a,1,fold-3", "split must be train or test (or val), not 'fold-3'"),
        ("images/0.png,a", "group is empty"),
    ],
)
def test_a_bad_row_is_named_by_its_line(flat, row, saying):
    write(flat, "path,label,group,split", GOOD, row)
    assert "table.csv line 3: " in refused(table(), flat, saying)


def test_a_table_outside_the_folder_is_refused(flat):
    refused(table(table="../table.csv"), flat, "must lie in the folder")


def test_a_table_with_only_a_header_is_refused(flat):
    write(flat, "path,label")
    refused(table(), flat, "only its header")


def test_an_empty_table_is_refused(flat):
    write(flat)
    refused(table(), flat, "no column 'path'", "columns: none")


def test_a_table_that_is_no_text_is_refused(flat):
    write(flat, "path,label", "images/0.png,nævus", encoding="latin-1")
    refused(table(), flat, "UTF-8")


def test_a_spreadsheet_named_csv_is_refused(flat):
    (flat / "table.csv").write_bytes(b"PK\x03\x04\x00\xff\xfe")
    refused(table(), flat, "UTF-8")


def test_many_bad_rows_are_one_message_that_says_how_to_see_all(flat):
    write(flat, "path,label", *[f"gone/{n}.png,a" for n in range(12)])
    message = refused(table(), flat, "12 things are wrong", "and 2 more", "lesionbench data check 'folder[")
    assert message.count("there is no file") == 10
    assert len(table().problems(flat)) == 12


def test_problems_lists_the_rows_and_the_unreadable_files(flat):
    (flat / "images" / "0.png").write_bytes(b"")
    write(flat, "path,label", "images/0.png,a", "images/1.png,b", "gone.png,b")
    row, file = table().problems(flat)
    assert "line 4: there is no file" in row
    assert file.startswith(str(flat / "images/0.png"))


def test_an_unreadable_image_is_named(classes):
    (classes / "nevus" / "b.png").write_bytes(b"no image")
    refused(Folder(), classes, str(classes / "nevus" / "b.png"), "lesionbench data check folder data=")


def test_good_data_has_no_problems(classes):
    assert Folder().problems(classes) == []


def test_a_spec_of_the_folder_can_be_read_back():
    spec = "folder[size=32,channels=1,table=metadata.csv,label_column=dx,keep_shared_groups=True]"
    assert spec_of(Plugins.load().dataset(spec)) == spec


# the contract


@pytest.fixture(scope="module")
def contract_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for label, colour in (("a", RED), ("b", GREY)):
        draw(root, [f"{side}/{label}/{n}.png" for side in ("train", "test") for n in range(2)], colour)
    return root


@pytest.mark.parametrize("name", [check.__name__ for check in dataset_checks()])
def test_folder_keeps_the_contract(name, contract_root):
    check = {check.__name__: check for check in dataset_checks(contract_root)}[name]
    check(Folder)


def test_loading_twice_gives_the_same_bytes(contract_root):
    first, second = Folder().load(contract_root), Folder().load(contract_root)
    assert np.array_equal(first.images.images, second.images.images)
