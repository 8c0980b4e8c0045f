"""`lesionbench audit split`: on datasets, on a user's table, and beside a run."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from lesionbench.cli.audit import app
from lesionbench.cli.options import typed
from lesionbench.errors import DatasetError, InputError, OutputError, SettingsError, SplitError

PHANTOM = "skin-phantom[train=24,test=12,size=32]"


def audit(*arguments: object) -> list[str]:
    """The lines that `lesionbench audit split` prints; an error of ours is raised as it is."""
    result = CliRunner().invoke(app, ["split", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        as_typed = result.exception.written(typed)
        raise type(result.exception)(as_typed)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def picture(seed, side=70):
    rng = np.random.default_rng(seed)
    grey = 140 + 45 * sum(gaussian_filter(rng.normal(size=(side, side)), sigma) * sigma for sigma in (1, 2, 4, 8))
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESIONBENCH_DATA", raising=False)
    return tmp_path


@pytest.fixture
def table(here):
    """Eight images: 0 to 3 train, 4 and 5 validation, 6 and 7 test; 6 is 1 turned and darker, 7 is 2 once more."""
    (here / "images").mkdir()
    pictures = [picture(seed, 60 + 5 * seed) for seed in range(6)]
    pictures += [pictures[1].transpose(Image.Transpose.ROTATE_90).point(lambda grey: 0.9 * grey), pictures[2]]
    parts = ["train", "training", "train", "train", "val", "Validation", "test", "test"]
    lines = ["path,split,group,label"]
    for number, (image, part) in enumerate(zip(pictures, parts, strict=True)):
        image.save(here / "images" / f"{number}.png")
        lines.append(f"images/{number}.png,{part},p{number % 5},{'ab'[number == 7]}")
    (here / "mine.csv").write_text("\n".join(lines), encoding="utf-8")
    return here / "mine.csv"


def rewrite(table, old, new):
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new), encoding="utf-8")


def test_the_leaks_of_a_users_table_are_found(table, here):
    lines = audit("mine.csv")

    assert lines[0] == "mine.csv: 2 test, 4 train, 2 validation"
    assert "this split leaks: 2 of 2 test images and 1 of 2 validation images have a twin in another part" in lines
    rows = read(here / "runs" / "audit-mine" / "pairs.csv")
    assert [(row["kind"], row["part_a"], row["id_a"], row["id_b"]) for row in rows] == [
        ("exact", "test", "images/7.png", "images/2.png"),
        ("near", "test", "images/6.png", "images/1.png"),
        ("shared group", "validation", "images/5.png", "images/0.png"),
    ]
    assert (rows[1]["symmetry"], rows[1]["same_group"], rows[0]["same_group"]) == ("turned right", "yes", "yes")


def test_a_label_conflict_is_named(table):
    assert any(line.startswith("label conflict: 1 pair") and "images/7.png (b)" in line for line in audit("mine.csv"))


def test_the_picture_is_drawn_and_goes_when_there_is_nothing_to_show(table, here):
    audit("mine.csv", "--out", "o")
    with Image.open(here / "o" / "pairs.png") as drawn:
        assert drawn.width > 500
    rewrite(table, "images/0.png,train", "images/0.png,test")
    table.write_text("path,split\nimages/0.png,train\nimages/3.png,test\n", encoding="utf-8")

    lines = audit("mine.csv", "--out", "o")

    assert not (here / "o" / "pairs.png").exists()
    assert any(line.startswith("no leak found; pictures of one thing that are less alike than 0.85") for line in lines)
    assert any(line.startswith("groups: not known of 2 of 2 images") for line in lines)


def test_the_paths_of_a_table_may_be_relative_to_another_folder(table, here):
    (here / "tables").mkdir()
    table.rename(here / "tables" / "mine.csv")

    with pytest.raises(DatasetError, match="--images DIR"):
        audit("tables/mine.csv")
    assert "this split leaks" in "\n".join(audit("tables/mine.csv", "--images", "."))


def test_the_parts_of_a_table_may_be_folds(here):
    rows = ["path,split"]
    for number in range(4):
        picture(number % 3).save(here / f"{number}.png")
        rows.append(f"{number}.png,{number % 2}")
    (here / "folds.csv").write_text("\n".join(rows), encoding="utf-8")

    assert "this split leaks: 2 of 4 images have a twin in another part" in audit("folds.csv")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("path,part\na.png,train\n", DatasetError, "no column 'split'"),
        ("file,split\na.png,train\n", DatasetError, "no column 'path'"),
        ("", DatasetError, "no column 'path'"),
        ("path,split\n", DatasetError, "the table has 0"),
        ("path,split\na.png,train\n", DatasetError, "the table has 1"),
        ("path,split\na.png,train\nb.png,train\n", SplitError, "only train"),
        ("path,split\na.png,train\na.png,test\n", DatasetError, "line 3: an image may stand once"),
        ("path,split\na.png,train\n./a.png,test\n", DatasetError, "line 3: an image may stand once"),
        ("path,split\na.png,train\nb.png,\n", DatasetError, "line 3: split is empty"),
        ("path,split\na.png,train\n,test\n", DatasetError, "line 3: the path of the image is empty"),
        ("path,split\na.png,train\ngone.png,test\n", DatasetError, "line 3: there is no file gone.png"),
        ("path,split\na.png,train\nbad.png,test\n", DatasetError, "bad.png: an image file must be"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_and_nothing_is_written(here, text, error, message):
    for name in ("a.png", "b.png"):
        picture(1).save(here / name)
    (here / "bad.png").write_text("no image", encoding="utf-8")
    (here / "t.csv").write_text(text, encoding="utf-8")

    with pytest.raises(error, match=message):
        audit("t.csv")
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["skin-phantm"], SettingsError, "did you mean 'skin-phantom'"),
        (["skin-phantom", "--split", "1"], SettingsError, "a split is `official` or a number of folds"),
        (
            ["skin-phantom", "--images", "."],
            SettingsError,
            "goes with a table of paths; leave out --images",
        ),
        (["mine.csv", "--data", "."], SettingsError, "leave out --data"),
        (["mine.csv", "--split", "5"], SettingsError, "leave out --split"),
        (["mine.csv", "--images", "gone"], DatasetError, "the images must be in an existing folder, not gone"),
        (["gone.csv"], DatasetError, "cannot be opened"),
        (["mine.csv", "--run", "images"], OutputError, "holds no experiment"),
        (["mine.csv", "--out", "mine.csv"], OutputError, "is a file"),
        (["mine.csv", "--out", "images"], OutputError, "holds other files"),
    ],
)
def test_a_wrong_argument_is_one_message(table, here, arguments, error, message):
    with pytest.raises(error, match=message):
        audit(*arguments)
    assert not (here / "runs").exists()


def test_an_audit_may_be_made_again_in_its_folder(table, here):
    audit("mine.csv", "--out", "o")
    before = {path.name: path.read_bytes() for path in (here / "o").iterdir()}

    audit("mine.csv", "--out", "o")

    assert before == {path.name: path.read_bytes() for path in (here / "o").iterdir()}


def test_folds_of_a_dataset_are_audited_against_each_other(here):
    lines = audit(PHANTOM, "--split", 3, "--out", "o")

    assert lines[0].startswith("skin-phantom[train=24,test=12], split 3: 12 fold 0, 12 fold 1, 12 fold 2")
    assert [row["part"] for row in read(here / "o" / "twins.csv") if row["class"] == "all"] == [
        "fold 0",
        "fold 1",
        "fold 2",
    ]


def test_what_is_written_may_not_lie_inside_the_images(table, here):
    for label in "ab":
        (here / "images" / label).mkdir()
        for seed in range(2):
            picture(seed).save(here / "images" / label / f"{seed}.png")

    with pytest.raises(InputError, match="must be outside the images"):
        audit("folder", "--data", "images", "--split", 2, "--out", "images/o")


def test_a_dataset_without_a_split_of_its_own_cannot_be_audited_as_official(here):
    for label, seeds in (("a", (0, 1)), ("b", (2, 3))):
        (here / "images" / label).mkdir(parents=True)
        for seed in seeds:
            picture(seed).save(here / "images" / label / f"{seed}.png")

    with pytest.raises(SplitError, match="has no official split; --split 5 makes"):
        audit("folder", "--data", "images", "--split", "official")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run on a folder of images of which test/b/0.png is train/a/7.png once more."""
    folder = tmp_path_factory.mktemp("finished")
    seed = 0
    for side, count in (("train", 8), ("test", 3)):
        for label in "ab":
            (folder / "images" / side / label).mkdir(parents=True)
            for number in range(count):
                seed += 1
                picture(seed, 40).save(folder / "images" / side / label / f"{number}.png")
    picture(8, 40).save(folder / "images" / "test" / "b" / "0.png")
    options = ["--data", "images", "--classifier", "linear", "--seeds", "1", "--positive-class", "b", "--out", "r"]
    options += ["--quiet", "--jobs", "1"]
    command = [sys.executable, "-m", "lesionbench", "run", "--dataset", "folder[size=16]", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=240)
    return folder


@pytest.fixture
def leaking(finished, monkeypatch):
    monkeypatch.chdir(finished)
    yield finished
    shutil.rmtree(finished / "o", ignore_errors=True)


def test_the_leaderboard_of_a_run_is_made_without_the_twins(leaking):
    lines = audit("folder", "--data", "images", "--run", "r", "--out", "o")

    assert "this split leaks: 1 of 6 test images have a twin in another part" in lines
    assert any(line.startswith("label conflict: 1 pair") for line in lines)
    (row,) = read(leaking / "o" / "leaderboard_without_twins.csv")
    (before,) = read(leaking / "r" / "leaderboard.csv")
    assert (row["n_test"], row["n_test_without_twins"]) == ("6", "5")
    assert row["sensitivity"] == before["sensitivity"]
    (predictions,) = (leaking / "r" / "predictions").iterdir()
    kept = [one for one in read(predictions) if one["part"] == "test" and one["id"] != "test/b/0.png"]
    hits = [float(one["score_b"]) > float(one["score_a"]) for one in kept if one["label"] == "b"]
    assert row["sensitivity_without_twins"] == f"{sum(hits) / 2:.4f}"


def test_a_run_on_other_images_is_refused(leaking):
    with pytest.raises(SettingsError, match=r"audit what it ran on: lesionbench audit split 'folder\[size=16\]'"):
        audit(PHANTOM, "--run", "r", "--out", "o")
    assert not (leaking / "o").exists()


def test_a_run_on_other_folds_is_refused(leaking):
    with pytest.raises(SettingsError, match="images of one part"):
        audit("folder", "--data", "images", "--split", 3, "--run", "r", "--out", "o")


def test_the_command_ends_with_status_2_and_one_message_for_a_wrong_dataset(lesionbench):
    refused = lesionbench("audit", "split", "skin-leson", status=2)

    assert "did you mean 'skin-lesion'?" in refused.stderr
