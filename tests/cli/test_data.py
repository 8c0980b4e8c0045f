from __future__ import annotations

import pytest
from PIL import Image
from typer.testing import CliRunner

from lesionbench.builtin.folder import Folder
from lesionbench.builtin.skin_phantom import SkinPhantom
from lesionbench.cli.data import app
from lesionbench.errors import DatasetError, SettingsError
from lesionbench.experiment.data_folder import find_data


@pytest.fixture
def images(tmp_path):
    """Two classes, two images each, named by a table too; the last two rows share a lesion across the split."""
    rows = ["path,label,group,split"]
    for n, (label, side) in enumerate([("nevus", "train"), ("mel", "train"), ("nevus", "test"), ("mel", "test")]):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.new("L", (9, 9), 40 * n).save(tmp_path / label / f"{n}.png")
        rows.append(f"{label}/{n}.png,{label},{n % 3},{side}")
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def data(*arguments: object, status: int = 0) -> list[str]:
    """The lines that `lesionbench data` prints; an error of ours is raised as it is."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert status == result.exit_code, result.output
    return result.output.splitlines()


def test_list_names_every_dataset_its_package_and_its_place(monkeypatch, tmp_path):
    (tmp_path / "skin-lesion").mkdir()
    monkeypatch.setenv("LESIONBENCH_DATA", str(tmp_path))
    lines = [" ".join(line.split()) for line in data("list")]
    assert "skin-phantom (lesionbench) made, needs no data" in lines
    assert f"skin-lesion (lesionbench-skin-lesion) {tmp_path / 'skin-lesion'}" in lines
    assert "folder (lesionbench) your own images: name their folder with --data DIR" in lines


def test_list_says_where_to_put_what_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("LESIONBENCH_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    line = next(line for line in data("list") if line.startswith("skin-lesion"))
    assert f"not found: put it in {tmp_path / 'empty' / 'skin-lesion'} or {tmp_path}" in line
    assert "LESIONBENCH_DATA" in line


def test_check_describes_good_data(images):
    assert data("check", "folder[size=8]", "--data", images)[:6] == [
        f"folder[size=8]  ({images})",
        "images   4, 8 x 8, grey",
        "classes         images",
        "         mel         2",
        "         nevus       2",
        "         total       4",
    ]


def test_check_names_the_missing_positive_class_the_groups_and_the_notes(images):
    lines = data("check", "folder", "--data", images)
    assert "positive not named: add --positive-class NAME" in lines
    assert "groups   waived" in lines
    assert any(line.startswith("note: it is not known which images") for line in lines)


def test_check_counts_the_classes_of_train_and_test(images):
    lines = data("check", "folder[table=table.csv,keep_shared_groups=true]", "--data", images)
    assert ["classes train test", "mel 1 1", "nevus 1 1", "total 2 2"] == [
        " ".join(line.split()) for line in lines[2:6]
    ]
    assert "groups   shared in the official split, 3 groups, 1 of them in both train and test" in lines


def test_check_says_that_a_leaking_split_will_be_refused(images):
    lines = data("check", "folder[table=table.csv]", "--data", images)
    assert any("--split official is refused; --split 5 keeps them apart" in line for line in lines)


def test_check_of_a_made_dataset_needs_no_data():
    lines = data("check", "skin-phantom[train=12,test=8]")
    assert lines[0] == "skin-phantom[train=12,test=8]  (made, needs no data)"
    assert lines[5].split() == ["total", "12", "8"]
    assert "positive malignant" in lines


def test_check_lists_every_unreadable_file_and_ends_with_status_2(images):
    bad = [images / "mel" / f"bad-{n:02}.png" for n in range(15)]
    for path in bad:
        path.write_text("no image", encoding="utf-8")
    lines = data("check", "folder", "--data", images, status=2)
    assert [str(path) for path in bad] == [line.partition(": ")[0] for line in lines[:-1]]
    assert lines[-1] == "folder: 15 problems"


def test_check_of_an_unknown_dataset_suggests_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'folder'"):
        data("check", "foldr")


def test_the_given_folder_comes_before_the_usual_places(monkeypatch, tmp_path):
    lesion = type("Lesion", (Folder,), {"name": "lesion", "reads_any_images": False})()
    (tmp_path / "lesion").mkdir()
    monkeypatch.setenv("LESIONBENCH_DATA", str(tmp_path))
    assert find_data(lesion, None) == tmp_path / "lesion"
    assert find_data(lesion, tmp_path) == tmp_path


def test_a_dataset_that_is_nowhere_names_the_places_looked_at(monkeypatch, tmp_path):
    lesion = type("Lesion", (Folder,), {"name": "lesion", "reads_any_images": False})()
    monkeypatch.setenv("LESIONBENCH_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="data='DIR'") as error:
        find_data(lesion, None)
    assert str(tmp_path / "lesion") in str(error.value)


def test_a_given_folder_must_exist(tmp_path):
    with pytest.raises(DatasetError, match="existing folder"):
        find_data(Folder(), tmp_path / "gone")


def test_the_folder_dataset_has_no_usual_place(monkeypatch, tmp_path):
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("LESIONBENCH_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="data='DIR'"):
        find_data(Folder(), None)


def test_a_made_dataset_takes_no_folder(tmp_path):
    assert find_data(SkinPhantom(), None) is None
    with pytest.raises(DatasetError, match="leave out data="):
        find_data(SkinPhantom(), tmp_path)


def test_check_says_in_one_line_that_a_loader_failed_unexpectedly(monkeypatch, images):
    monkeypatch.setattr(Folder, "load", lambda self, root: 1 / 0)
    monkeypatch.setattr(Folder, "problems", lambda self, root: 1 / 0)
    lines = data("check", "folder", "--data", images, status=2)
    assert lines[0] == (
        "the dataset 'folder' cannot be loaded (ZeroDivisionError: division by zero); see: lesionbench check folder"
    )
