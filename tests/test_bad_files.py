"""Names that cannot be written, files that are none, run folders that were damaged: one message, nothing written."""

import csv
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from conftest import CommandLineHere
from PIL import Image

import lesionbench as lb
from lesionbench.api.frames import read_frame
from lesionbench.errors import InputError
from lesionbench.experiment import settings as experiment_settings
from lesionbench.image_files import read_images
from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.leaderboard import as_csv
from lesionbench.pipeline.predictions import Predictions, as_text, read_predictions
from lesionbench.plain_text import for_spreadsheet, from_spreadsheet, visible

RUN = ("run", "--dataset", "skin-phantom[size=16,train=40,test=20]", "--classifier", "linear", "--jobs", 1)
BROKEN = b"caf\xe9"  # not UTF-8


def state(folder):
    """Every path below a folder, with the bytes of every file."""
    found = {}
    for parent, folders, files in os.walk(folder):
        found |= {Path(parent, name): b"a folder" for name in folders}
        for path in (Path(parent, name) for name in files):
            found[path] = path.read_bytes() if path.is_file() else b"no file"
    return found


def refused(command_line, *arguments):
    """The message of a command that is refused with nothing written."""
    before = state(command_line.cwd)
    message = command_line(*arguments, status=2).stderr
    assert state(command_line.cwd) == before
    assert "\x1b" not in message and "\udce9" not in message
    return message


def draw(folder, count=4):
    folder = Path(os.fsdecode(folder))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        shade = np.full((9, 9, 3), 10 * number, np.uint8)
        Image.fromarray(shade).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def mine(tmp_path):
    """A folder of images in two classes, and the options that read it."""
    draw(tmp_path / "mine" / "benign")
    draw(tmp_path / "mine" / "malignant")
    return tmp_path / "mine"


FOLDER = ("--dataset", "folder[size=16]", "--positive-class", "malignant", "--classifier", "linear", "--split", 2)


@pytest.mark.parametrize(
    ("option", "rule"),
    [("--data", "a path must be UTF-8"), ("--out", "a path must be UTF-8"), ("--store", "a path must be UTF-8")],
)
def test_a_folder_whose_name_is_not_utf8_is_refused(lesionbench, mine, option, rule):
    shutil.copytree(mine, os.fsdecode(os.fsencode(mine) + BROKEN))
    options = {"--data": "mine", "--out": "o"} | {option: os.fsdecode(b"mine" + BROKEN)}

    assert rule in refused(lesionbench, "run", *FOLDER, *(part for pair in options.items() for part in pair))


def test_an_experiment_file_whose_name_is_not_utf8_is_refused(lesionbench):
    name = os.fsdecode(BROKEN + b".toml")
    (lesionbench.cwd / name).write_text("seeds = 1\n")

    assert "a path must be UTF-8" in refused(lesionbench, "run", name)


@pytest.mark.parametrize("name", [BROKEN, b"red\x1b[31m", b"two\rlines", b"two\nlines", "flip\u202e".encode()])
@pytest.mark.parametrize("what", ["class", "image"])
def test_a_class_or_an_image_whose_name_is_not_plain_text_is_refused(lesionbench, mine, name, what):
    if what == "class":
        draw(os.fsencode(mine) + b"/" + name)
    else:
        (mine / "benign" / "0.png").rename(mine / "benign" / f"{os.fsdecode(name)}.png")

    message = refused(lesionbench, "run", *FOLDER, "--data", "mine", "--out", "o")

    assert "the name of a file or folder must be plain text in UTF-8, but" in message


@pytest.mark.parametrize("name", ["red\x1b[31m", "zero\0byte", "flip\u202e", "x" * 300])
def test_a_class_in_a_table_whose_name_is_not_plain_text_is_refused(lesionbench, mine, name):
    rows = [f"benign/{number}.png,{name if number % 2 else 'a'}" for number in range(4)]
    (mine / "t.csv").write_bytes("\n".join(["path,label", *rows]).encode())

    message = refused(lesionbench, "run", *FOLDER, "--dataset", "folder[table=t.csv]", "--data", "mine", "--out", "o")

    assert "t.csv line 3: label names a class or group: it" in message


@pytest.mark.parametrize("name", ["two\rlines", "zero\0byte", "lone\ud800", "red\x1b[31m", " ", "x" * 300])
def test_a_class_given_in_python_whose_name_is_not_plain_text_is_refused(name):
    images = np.zeros((4, 8, 8, 1), np.uint8)

    with pytest.raises(InputError, match="class"):
        lb.images(images, [name, "b", name, "b"])


@pytest.mark.parametrize("names", [("a", "two\rlines"), ("a", "lone\udc80"), ("a", ""), ("a", "a"), ("a", 1)])
def test_a_class_of_a_plugin_whose_name_is_not_plain_text_is_refused(names):
    images = np.zeros((4, 8, 8, 1), np.uint8)
    labels = np.array([0, 1, 0, 1])
    labelled = LabelledImages(images, labels, np.arange(4), np.array(list("abcd")), names)

    with pytest.raises(lb.ContractError, match="class"):
        LoadedDataset(labelled)


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have 108 bytes
        one.bind(path.name)
        os.chdir(here)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_fifo, "it is a named pipe"),
        (make_socket, "it is a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to a file that is not there"),
        (lambda path: path.symlink_to(path.name), "it cannot be followed (Too many levels of symbolic links)"),
    ],
)
def test_what_is_no_file_in_a_folder_of_images_is_named(lesionbench, mine, make, message):
    make(mine / "benign" / "x.png")

    assert message in lesionbench("data", "check", "folder", "--data", "mine", status=2).stdout
    assert message in lesionbench("run", *FOLDER, "--data", "mine", "--out", "o", status=2).stderr


def test_a_folder_called_like_an_image_is_a_folder(lesionbench, mine):
    draw(mine / "benign" / "x.png", count=1)

    assert "images   9," in lesionbench("data", "check", "folder", "--data", "mine").stdout


def test_many_large_images_are_not_in_memory_together(tmp_path, monkeypatch):
    """With room for one image of a hundred pixels, eight of them are decoded one after the other."""
    from lesionbench import image_files

    together, most = [], []
    monkeypatch.setattr(image_files, "_IN_MEMORY", image_files._Room(100))
    blend = image_files._over_white

    def watched(image):
        together.append(image)
        most.append(len(together))
        try:
            return blend(image)
        finally:
            together.remove(image)

    monkeypatch.setattr(image_files, "_over_white", watched)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    draw(tmp_path, count=8)
    read_images(sorted(tmp_path.glob("*.png")), 8, 3)

    assert max(most) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = " + "9" * 5000, "a number in it has too many digits"),
        ("seeds = " + "[" * 5000, "its brackets are nested too deeply"),
        ("a." * 5000 + "b = 1", "a key has more than 100 parts"),
        ("#" * (2**20 + 1), "it is larger than 1 MB"),
    ],
    ids=["digits", "brackets", "parts", "size"],
)
def test_an_experiment_file_that_cannot_be_read_is_one_message(lesionbench, text, message):
    (lesionbench.cwd / "e.toml").write_text(text)

    assert message in refused(lesionbench, "run", "e.toml")


def test_an_experiment_file_that_is_a_named_pipe_is_refused(lesionbench):
    os.mkfifo(lesionbench.cwd / "e.toml")

    assert "it is a named pipe, not a file" in refused(lesionbench, "plan", "e.toml")


@pytest.mark.parametrize("option", ["--jobs", "--seeds", "--seed", "--synthetic", "--margin", "--split"])
def test_a_value_of_400_digits_is_refused(lesionbench, option):
    command = "run" if option == "--margin" else "plan"

    assert refused(lesionbench, command, *RUN[1:5], "--augmenter", "noise", option, "9" * 400, "--out", "o")


@pytest.mark.parametrize("name", ["out", "store"])
@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x", "/dev/null", "x" * 300, "zero\0byte", "lone\udc80"])
def test_a_folder_that_cannot_be_made_is_refused_in_python(tmp_path, monkeypatch, name, place):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError):
        lb.run(RUN[2], classifiers="linear", quiet=True, jobs=1, **{"out": "o", name: place})
    assert list(tmp_path.iterdir()) == []


# --- a run folder that was damaged or edited ---


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    command_line = CommandLineHere(tmp_path_factory.mktemp("damaged"))
    command_line(*RUN, "--augmenter", "oversample", "--synthetic", "4,8", "--seeds", 2, "--out", "o")
    return command_line.cwd / "o"


@pytest.fixture
def run(one_run, lesionbench):
    shutil.copytree(one_run, lesionbench.cwd / "o", ignore=shutil.ignore_patterns("store"))
    return lesionbench.cwd / "o"


FIELDS = ("sources", "split", "folds", "groups", "classes", "positive_class", "images", "shape", "device", "precision")
FIELDS = (*FIELDS, "notes", "controls", "digest", "judging_digest", "lesionbench")
ABSURD = [None, 1000000000, "x", [], {}, True, -1]


@pytest.mark.parametrize("field", FIELDS)
def test_an_edited_field_of_what_a_run_noted_is_refused(lesionbench, run, field):
    import tomli_w

    settings = experiment_settings.parse_toml(run / "experiment.toml")
    for value in ABSURD:
        noted = {name: one for name, one in settings["resolved"].items() if name != field}
        noted |= {} if value is None else {field: value}
        (run / "experiment.toml").write_text(tomli_w.dumps({**settings, "resolved": noted}))

        typed = () if field == "judging_digest" else ("--margin", "0.05")  # which would judge it anew
        assert "o/experiment.toml" in refused(lesionbench, "leaderboard", "o", *typed)


def test_no_flipped_bit_of_the_settings_gives_another_leaderboard(run):
    whole = (run / "experiment.toml").read_bytes()
    for position in range(0, 8 * len(whole), 29):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        (run / "experiment.toml").write_bytes(flipped)
        try:
            found = lb.open(run).settings
        except InputError:
            continue
        (run / "experiment.toml").write_bytes(whole)
        assert found == lb.open(run).settings, bytes(flipped)


def test_edited_settings_of_judging_are_refused_until_they_are_typed(lesionbench, run):
    path = run / "experiment.toml"
    path.write_text(path.read_text().replace("margin = 0.02", "margin = 0.3"))

    message = refused(lesionbench, "leaderboard", "o")

    assert "lesionbench leaderboard o --baseline none --margin 0.3" in message
    lesionbench("leaderboard", "o", "--margin", "0.3")
    lesionbench("leaderboard", "o")


def break_cells(run, change):
    path = run / "cells.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    header, rows = change(header, rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def replace_predictions(run, make):
    path = sorted((run / "predictions").iterdir())[0]
    path.unlink()
    make(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "cells.csv").write_bytes((run / "cells.csv").read_bytes() + b"\xff"),
        lambda run: break_cells(run, lambda header, rows: (header, rows[:-1])),
        lambda run: break_cells(run, lambda header, rows: (header, [*rows, rows[0]])),
        lambda run: break_cells(run, lambda header, rows: (header[1:], [row[1:] for row in rows])),
        lambda run: break_cells(run, lambda header, rows: (header, [row[:1] for row in rows])),
        lambda run: break_cells(run, lambda header, rows: (header[:5], [row[:5] for row in rows])),
        lambda run: (run / "cells.csv").unlink(),
        lambda run: (run / "published.csv").write_bytes(b"\xff\0,,\r\n"),
        lambda run: (run / "published.csv").mkdir(),
        lambda run: os.mkfifo(run / "published.csv"),
        lambda run: replace_predictions(run, Path.mkdir),
        lambda run: replace_predictions(run, os.mkfifo),
        lambda run: replace_predictions(run, lambda path: path.symlink_to("nowhere")),
        lambda run: replace_predictions(run, lambda path: path.symlink_to(run / "cells.csv")),
        lambda run: replace_predictions(run, lambda path: None),
        lambda run: ((run / "leaderboard.csv").unlink(), (run / "leaderboard.csv").mkdir()),
    ],
)
def test_a_damaged_run_is_refused_before_anything_is_written(lesionbench, run, damage):
    damage(run)

    assert "o/" in refused(lesionbench, "leaderboard", "o", "--margin", "0.05")


# --- texts in tables and on the screen ---


FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-1", "@a", "\ta", "'=a", "''+a"]


@pytest.mark.parametrize("text", [*FORMULAS, "plain", "a=b", "'", ""])
def test_a_text_in_a_table_is_no_formula_and_comes_back(tmp_path, text):
    field = for_spreadsheet(text)
    (tmp_path / "t.csv").write_text(as_csv([{"id": text, "auc": -0.5, "n": -1}], ("id", "auc", "n")))

    assert not field.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_spreadsheet(field) == text
    found = read_frame(tmp_path / "t.csv")
    assert found["id"].fillna("")[0] == text and found["auc"][0] == -0.5 and found["n"][0] == -1


def test_predictions_of_classes_with_names_like_formulas_come_back(tmp_path):
    ids = np.array(["=1", "'=1", "@b", "c"])
    scores = np.full((4, 2), 0.5)
    groups, labels = np.arange(4), np.array([0, 1, 0, 1])
    made = [Predictions(part, 0, ids, groups, labels, scores, ("=a", "+b")) for part in ("validation", "test")]
    path = tmp_path / "p.csv"
    path.write_text(as_text(made))

    found = read_predictions(path, path.read_bytes())["test"]

    assert (
        found.ids.tolist() == ids.tolist() and found.classes == ("=a", "+b") and found.labels.tolist() == [0, 1, 0, 1]
    )
    assert "\n=" not in path.read_text() and ",=" not in path.read_text()


def test_control_characters_are_written_out():
    assert visible("\x1b[31mred\rx\u2028\udc80") == "\\x1b[31mred\\x0dx\\u2028\\udc80"
    assert visible("two\nlines\t") == "two\nlines\t"


def test_a_table_of_too_many_columns_is_refused_at_once(lesionbench, mine):
    (mine / "t.csv").write_text("a," * 100_000)

    message = refused(lesionbench, "run", *FOLDER, "--dataset", "folder[table=t.csv]", "--data", "mine", "--out", "o")

    assert "1,000 can be read" in message
