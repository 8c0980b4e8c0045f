from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from lesionbench import DatasetError
from lesionbench.pipeline.split import divide, group_status, splits
from lesionbench.testing import dataset_checks
from lesionbench_skin_lesion import SkinLesion

HEADER = "split,label,name,isic_id,lesion_id,id_basis,group,test_has_train_twin"
SIDES, LABELS = ("train", "test"), ("benign", "malignant")
IMAGES = 4  # in each of the four folders
CLEAN = SkinLesion(test="clean")


def draw_tree(root: Path, suffix: str = ".png") -> Path:
    """Four images in each of the four folders, each of another shade."""
    for side in SIDES:
        for label in LABELS:
            (root / side / label).mkdir(parents=True)
            for n in range(IMAGES):
                shade = 20 * n + 5 * len(label) + len(side)
                Image.new("RGB", (24, 24), (shade, 0, 0)).save(root / side / label / f"{n}{suffix}")
    return root


def write_groups(root: Path, leave_out: str = "", twins: str = "1", header: str = HEADER) -> None:
    """Lesions of one image each, except that the first test image of either class is also in train."""
    rows = []
    for side in SIDES:
        for label in LABELS:
            for n in range(IMAGES):
                twin = side == "test" and n == 0
                group = f"{label}-train-0" if twin else f"{label}-{side}-{n}"
                rows.append(f"{side},{label},{n},,,,{group},{'' if side == 'train' else twins if twin else '0'}")
    lines = [header, *(row for row in rows if not leave_out or not row.startswith(leave_out))]
    (root / "groups.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def tree(tmp_path):
    return draw_tree(tmp_path / "skin-lesion")


@pytest.fixture
def grouped(tree):
    write_groups(tree)
    return tree


def refused(settings: SkinLesion, root: Path | None, *saying: str) -> None:
    with pytest.raises(DatasetError) as error:
        settings.load(root)
    for text in saying:
        assert text in str(error.value)
    assert len(str(error.value).splitlines()) == 1


# reading


def test_the_published_split_is_the_official_one(grouped):
    data = SkinLesion().load(grouped)
    assert data.images.classes == ("benign", "malignant")
    assert data.images.shape == (32, 32, 3)
    assert data.is_test.tolist() == [name.startswith("test/") for name in data.images.ids]
    assert data.images.labels.tolist() == [int("malignant" in name) for name in data.images.ids]
    assert data.images.ids.tolist() == sorted(data.images.ids)


def test_the_size_is_a_setting_and_jpegs_are_read_too(tmp_path):
    data = SkinLesion(size=16).load(draw_tree(tmp_path, ".JPG"))
    assert data.images.shape == (16, 16, 3)
    assert len(data.images) == 4 * IMAGES


def test_the_archives_inner_tree_does_not_double_the_data(grouped):
    inner = grouped / "data"
    inner.mkdir()
    for side in SIDES:
        shutil.copytree(grouped / side, inner / side)
    assert len(SkinLesion().load(grouped).images) == 4 * IMAGES
    assert len(SkinLesion().sources(grouped)) == 4 * IMAGES + 1


@pytest.mark.parametrize("way", ["data", "archive", "archive/skin/data"])
def test_folders_in_the_way_of_the_tree_are_passed_through(tmp_path, way):
    draw_tree(tmp_path / way)
    write_groups(tmp_path)
    data = SkinLesion().load(tmp_path)
    assert data.images.ids[0] == "test/benign/0.png"
    assert data.groups_known


def test_the_same_images_are_the_same_wherever_the_tree_lies(tmp_path):
    outer, inner = draw_tree(tmp_path / "one"), draw_tree(tmp_path / "two" / "data")
    one, two = SkinLesion().load(outer), SkinLesion().load(inner.parent)
    assert one.images.ids.tolist() == two.images.ids.tolist()
    assert one.images.images.tobytes() == two.images.images.tobytes()


def test_two_trees_side_by_side_are_refused(tmp_path):
    draw_tree(tmp_path / "a")
    draw_tree(tmp_path / "b")
    refused(SkinLesion(), tmp_path, "one tree", str(tmp_path / "a"), str(tmp_path / "b"))


def test_a_subset_of_the_images_works_with_the_whole_groups_csv(grouped):
    for path in sorted(grouped.glob("train/*/*.png"))[:-1]:
        if path.stem in ("1", "2"):
            path.unlink()
    assert len(SkinLesion().load(grouped).images) == 4 * IMAGES - 4


# groups


def test_images_of_one_lesion_share_a_group(grouped):
    data = SkinLesion().load(grouped)
    groups = dict(zip(data.images.ids.tolist(), data.images.groups.tolist(), strict=True))
    assert groups["test/benign/0.png"] == groups["train/benign/0.png"]
    assert len(set(groups.values())) == 4 * IMAGES - 2


def test_the_published_leak_is_kept_and_the_user_learns_it(grouped):
    data = SkinLesion().load(grouped)
    assert data.keep_shared_groups
    assert group_status(data, "official") == "shared"
    assert data.notes == (
        "2 of 8 test images show a lesion that is also in train; skin-lesion[test=clean] leaves them out",
    )


def test_the_clean_test_set_shares_no_lesion_with_train(grouped):
    data = CLEAN.load(grouped)
    assert data.is_test.sum() == 6
    assert (~data.is_test).sum() == 8
    assert not data.keep_shared_groups
    assert group_status(data, "official") == "apart"
    assert data.notes == ()


@pytest.mark.parametrize("mode", ["official", 3])
@pytest.mark.parametrize("settings", [SkinLesion(), CLEAN], ids=["official", "clean"])
def test_it_can_be_split(grouped, settings, mode):
    data = settings.load(grouped)
    assert len(splits(data, divide(data, mode, 0.5, 0))) == (1 if mode == "official" else 3)


def test_without_groups_csv_groups_are_waived_and_the_user_learns_it(tree):
    data = SkinLesion().load(tree)
    assert not data.groups_known
    assert not data.keep_shared_groups
    assert group_status(data, "official") == "waived"
    assert len(set(data.images.groups.tolist())) == 4 * IMAGES
    assert data.notes[0].startswith("lesions cannot be kept apart: there is no groups.csv")


def test_a_clean_test_set_without_groups_csv_is_refused(tree):
    refused(CLEAN, tree, "test=clean", "groups.csv", str(tree))


def test_groups_csv_is_a_source(grouped, tree):
    assert grouped / "groups.csv" in SkinLesion().sources(grouped)


def test_an_image_without_a_row_is_named(tree):
    write_groups(tree, leave_out="train,malignant,3,")
    refused(SkinLesion(), tree, "1 of 16 have none", "train/malignant/3.png")


def test_a_groups_csv_with_another_header_is_refused(tree):
    write_groups(tree, header=HEADER.replace("group", "lesion_group"))
    refused(SkinLesion(), tree, "must have the columns", "group is missing")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"split;label;name;group;test_has_train_twin\n"])
def test_a_groups_csv_that_is_no_such_table_is_refused(tree, content):
    (tree / "groups.csv").write_bytes(content)
    refused(SkinLesion(), tree, str(tree / "groups.csv"))


def test_a_twin_that_is_not_marked_is_noticed(tree):
    write_groups(tree, twins="0")
    refused(CLEAN, tree, "test_has_train_twin must be 1", "benign-train-0")


def test_a_twin_must_be_marked_with_0_or_1(tree):
    write_groups(tree, twins="yes")
    refused(SkinLesion(), tree, "must be 0 or 1", "'yes'")


def test_rows_that_contradict_each_other_are_refused(grouped):
    with (grouped / "groups.csv").open("a", encoding="utf-8") as file:
        file.write("train,benign,0,,,,another,\n")
    refused(SkinLesion(), grouped, "line 18", "train/benign/0")


# bad input


def test_no_folder_asks_for_data():
    refused(SkinLesion(), None, "data='DIR'")


def test_a_missing_folder_is_named(tmp_path):
    refused(SkinLesion(), tmp_path / "gone", str(tmp_path / "gone"))


def test_an_empty_folder_says_what_it_must_hold(tmp_path):
    refused(SkinLesion(), tmp_path, "{train,test}/{benign,malignant}/*")


@pytest.mark.parametrize("gone", ["test", "train", "test/malignant"])
def test_a_missing_folder_of_the_tree_is_named(tree, gone):
    shutil.rmtree(tree / gone)
    refused(SkinLesion(), tree, f"{gone}", "is missing")


def test_a_class_folder_without_images_is_named(tree):
    shutil.rmtree(tree / "test" / "benign")
    (tree / "test" / "benign").mkdir()
    refused(SkinLesion(), tree, "test/benign holds none")


def test_one_image_in_two_formats_is_refused(tree):
    shutil.copy(tree / "train" / "benign" / "0.png", tree / "train" / "benign" / "0.jpg")
    refused(SkinLesion(), tree, "train/benign/0.jpg and train/benign/0.png")


def test_every_problem_is_listed(tree):
    write_groups(tree, leave_out="train,malignant,3,")
    for n in range(2):
        (tree / "test" / "benign" / f"{n}.png").write_bytes(b"")
    lines = SkinLesion().problems(tree)
    assert len(lines) == 3
    assert "groups.csv" in lines[0]
    assert lines[1].startswith(str(tree / "test/benign/0.png"))


def test_good_data_has_no_problems(grouped):
    assert SkinLesion().problems(grouped) == []


# the contract and the real images


@pytest.fixture(scope="module")
def contract_root(tmp_path_factory):
    root = draw_tree(tmp_path_factory.mktemp("skin-lesion"))
    write_groups(root)
    return root


@pytest.mark.parametrize("name", [check.__name__ for check in dataset_checks()])
def test_skin_lesion_keeps_the_contract(name, contract_root):
    check = {check.__name__: check for check in dataset_checks(contract_root)}[name]
    check(SkinLesion)


@pytest.fixture(scope="module")
def real():
    root = Path(os.environ.get("LESIONBENCH_DATA", "")) / "skin-lesion"
    if "LESIONBENCH_DATA" not in os.environ or not root.is_dir():
        pytest.skip("needs the real images: set LESIONBENCH_DATA to a folder that holds skin-lesion")
    return root


def test_the_real_set_has_2637_and_660_images_and_leaks_116(real):
    data = SkinLesion().load(real)
    assert ((~data.is_test).sum(), data.is_test.sum()) == (2637, 660)
    assert data.images.labels[data.is_test].sum() == 300
    assert data.groups_known
    assert data.notes[0].startswith("116 of 660 test images")


def test_the_real_set_has_544_clean_test_images(real):
    data = CLEAN.load(real)
    assert ((~data.is_test).sum(), data.is_test.sum()) == (2637, 544)
    assert data.images.labels[data.is_test].sum() == 209
    assert group_status(data, "official") == "apart"
