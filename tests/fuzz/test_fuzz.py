"""Thousands of made-up and damaged inputs: no traceback, no hang, nothing written before exit status 2.

`pytest -m slow tests/fuzz` gives 2,000 of them, `LESIONBENCH_FUZZ=20000 pytest -m slow tests/fuzz` ten times as many.
"""

from __future__ import annotations

import io
import re
import shutil
import tomllib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import CommandLineHere
from fuzz.trying import call, command, inputs, state
from hypothesis import assume, given
from hypothesis import strategies as some
from PIL import Image

import lesionbench as lb

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
DATASET = "skin-phantom[size=16,train=40,test=20]"
CALM = some.sampled_from

# --- mutated bytes ---

changes = some.lists(
    some.tuples(
        some.sampled_from(["flip", "set", "cut", "drop", "repeat", "insert"]),
        some.floats(0, 1, exclude_max=True),
        some.integers(0, 255),
        some.binary(max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def mutated(whole: bytes, wanted: list[tuple[str, float, int, bytes]]) -> bytes:
    """The bytes with these changes made one after the other."""
    found = bytearray(whole)
    for how, where, value, more in wanted:
        at = int(where * max(1, len(found)))
        if how == "cut":
            del found[at:]
        elif how == "drop":
            del found[at : at + 1 + value % 16]
        elif how == "repeat":
            found[at:at] = found[at : at + value]
        elif how == "insert":
            found[at:at] = more
        elif at < len(found):
            found[at] = value if how == "set" else found[at] ^ (1 << value % 8)
    return bytes(found)


# --- experiment files ---

SETTINGS = ["dataset", "data", "split", "validation", "augmenters", "synthetic", "seeds", "on_the_fly", "classifiers"]
SETTINGS += ["classifier_seeds", "seed", "positive_class", "device", "precision", "baseline", "margin", "judged_by"]
SETTINGS += ["operating_point", "controls", "resolved", "x.y"]
PLUGINS = [DATASET, "linear", "kth-cnn[steps=2]", "oversample", "noise", "classic", "dcgan[steps=1]", "none", "folder"]
WORDS = [*PLUGINS, "arrays", "official", "auto", "5", "-1", "1e400", "nan", "a@4+b", "[", "]@"]
texts = some.one_of(some.text(max_size=12), CALM(WORDS))
numbers = some.one_of(some.integers(-(10**6), 10**6), some.integers(), some.floats(), CALM([10**400, 2**63, -0.0]))
values = some.recursive(
    some.one_of(texts, numbers, some.booleans(), some.none()),
    lambda one: some.lists(one, max_size=4) | some.dictionaries(some.text(max_size=5), one, max_size=3),
    max_leaves=6,
)
TOML = f"""dataset = "{DATASET}"
classifiers = ["linear"]
augmenters = ["oversample", "noise"]
synthetic = [4, 8]
seeds = 1
margin = 0.02
positive_class = "malignant"
"""


def toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml_value(one)}' for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "''" if value is None else repr(value)


@pytest.fixture
def cwd(tmp_path):
    """A folder that is emptied for every input, for hypothesis makes a fixture once for all of them."""

    def empty() -> Path:
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir()
        return tmp_path

    return empty


@inputs(0.15)
@given(settings=some.dictionaries(CALM(SETTINGS), values, min_size=1, max_size=4))
def test_settings_in_an_experiment_file(cwd, settings):
    folder = cwd()
    lines = [f"{key} = {toml_value(value)}" for key, value in settings.items()]
    given_lines = [line for line in TOML.splitlines() if line.partition(" ")[0] not in settings]
    (folder / "e.toml").write_text("\n".join([*given_lines, *lines]), encoding="utf-8", errors="surrogateescape")
    command(folder, "plan", "e.toml", "--out", "o")


def draws_little(file: bytes) -> bool:
    """Whether this experiment is wrong, or has a small drawn dataset; the default draws 900 images."""
    with suppress(UnicodeDecodeError, tomllib.TOMLDecodeError):
        dataset = str(tomllib.loads(file.decode()).get("dataset", "skin-phantom"))
        return dataset != "skin-phantom" and not re.search(r"(size|train|test)=\d{3,}", dataset)
    return True


@inputs(0.15)
@given(wanted=changes)
def test_a_damaged_experiment_file(cwd, wanted):
    folder = cwd()
    damaged = mutated(TOML.encode(), wanted)
    assume(draws_little(damaged))
    (folder / "e.toml").write_bytes(damaged)
    command(folder, "plan", "e.toml", "--out", "o")


# --- options ---

OPTIONS = ["dataset", "data", "positive-class", "augmenter", "synthetic", "classifier", "seeds", "split", "on-the-fly"]
OPTIONS += ["validation", "classifier-seeds", "seed", "device", "precision", "jobs", "discordance", "like", "store"]
PLACES = ["9" * 400, "/proc/x", "/dev/null", "x" * 300]
typed = some.one_of(texts, some.integers().map(str), some.floats().map(repr), CALM(PLACES))


@inputs(0.15)
@given(options=some.lists(some.tuples(CALM(OPTIONS), typed), min_size=1, max_size=3))
def test_options_of_plan(cwd, options):
    pairs = [f"--{name}={usable(value)}" for name, value in options]
    command(cwd(), "plan", f"--dataset={DATASET}", "--classifier=linear", "--seeds=1", "--out=o", *pairs)


def usable(text: str) -> str:
    """The text as a shell can give it: no zero bytes, and lone surrogates stand for bytes that are not UTF-8."""
    return "".join(
        one for one in text if one != "\0" and not ("\ud800" <= one <= "\udc7f" or "\udd00" <= one <= "\udfff")
    )


# --- users' tables and images ---


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with two classes of small images and a table of them."""
    folder = tmp_path_factory.mktemp("images")
    rows = ["path,label,group,split"]
    for number in range(8):
        name = ("a", "b")[number % 2]
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(folder / name / f"{number}.png")
        rows.append(f"{name}/{number}.png,{name},g{number // 2},{('train', 'test')[number > 3]}")
    (folder / "t.csv").write_text("\n".join(rows) + "\n")
    return folder


@inputs(0.12)
@given(wanted=changes, columns=some.lists(some.text(max_size=6), max_size=5), random=some.booleans())
def test_a_damaged_table_of_images(images, wanted, columns, random):
    whole = (images / "t.csv").read_bytes()
    other = mutated(whole, wanted)
    (images / "u.csv").write_bytes(other if random else ",".join(columns).encode("utf-8", "replace") + b"\n" + other)
    command(images, "data", "check", "folder[table=u.csv]", "--data", ".")


def encoded(mode: str, kind: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind)
    return file.getvalue()


KINDS = [(mode, "PNG") for mode in ("RGB", "RGBA", "P", "1", "LA")] + [(mode, "JPEG") for mode in ("RGB", "L", "CMYK")]
KINDS += [
    ("RGB", "BMP"),
    ("P", "BMP"),
    ("RGB", "TIFF"),
    ("F", "TIFF"),
    ("I;16", "TIFF"),
    ("RGB", "WEBP"),
    ("RGBA", "WEBP"),
]
sizes = some.tuples(some.integers(1, 40), some.integers(1, 40))


@inputs(0.18)
@given(kind=CALM(KINDS), size=sizes, wanted=changes, random=some.binary(max_size=64))
def test_a_damaged_image(images, kind, size, wanted, random):
    whole = random if len(random) > 48 else mutated(encoded(*kind, size), wanted)
    (images / "a" / "0.png").write_bytes(whole)
    command(images, "data", "check", "folder[size=16]", "--data", ".")


# --- folders of runs ---


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished small run, and the bytes of every file that a run keeps beside its store."""
    folder = tmp_path_factory.mktemp("runs")
    line = CommandLineHere(folder)
    grid = ("--augmenter", "oversample", "--synthetic", 4, "--seeds", 1)
    line("run", "--dataset", DATASET, "--classifier", "linear", "--jobs", 1, *grid, "--out", "o")
    files = [path for path in (folder / "o").rglob("*") if path.suffix in (".toml", ".csv", ".json")]
    return folder, {path: path.read_bytes() for path in files if "store" not in path.parts}


VERBS = {
    "leaderboard": ("leaderboard", "o"),
    "judge": ("leaderboard", "o", "--margin", "0.05"),
    "plan": ("plan", "o/experiment.toml"),
    "samples": ("audit", "samples", "o", "--out", "audit"),
}


@inputs(0.15)
@given(data=some.data(), wanted=changes, verb=CALM([*VERBS, "open", "tables"]))
def test_a_damaged_run(runs, data, wanted, verb):
    folder, files = runs
    likely = {path for path in files if path.name in ("experiment.toml", "cells.csv") or "predictions" in path.parts}
    path = data.draw(some.one_of(CALM(sorted(likely)), CALM(sorted(files))))
    path.write_bytes(mutated(files[path], wanted))
    try:
        if verb in VERBS:
            command(folder, *VERBS[verb])
        else:
            call(lambda: look_at(folder / "o", verb))
    finally:
        shutil.rmtree(folder / "audit", ignore_errors=True)
        for path, whole in files.items():
            path.write_bytes(whole)


def look_at(folder: Path, verb: str) -> None:
    run = lb.open(folder)
    repr(run)
    run._repr_html_()
    if verb == "tables":
        for name in ("leaderboard", "verdicts", "cells", "splits", "intervals", "predictions", "per_class"):
            getattr(run, name)


# --- DICOM, NIfTI and NRRD headers ---


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A small CT slice, a volume and a mask."""
    pydicom, nibabel = pytest.importorskip("pydicom"), pytest.importorskip("nibabel")
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder = tmp_path_factory.mktemp("scans")
    one = pydicom.Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID, one.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid(entropy_srcs=["a"])
    one.SOPClassUID, one.Modality, one.PatientID, one.SeriesInstanceUID = CTImageStorage, "CT", "p", "1.2.3"
    one.StudyInstanceUID, one.FrameOfReferenceUID, one.InstanceNumber = "1.2", "1.2.4", 1
    one.Rows = one.Columns = 32
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation, one.SamplesPerPixel, one.PhotometricInterpretation = 15, 1, 1, "MONOCHROME2"
    one.RescaleSlope, one.RescaleIntercept, one.PixelSpacing, one.SliceThickness = 1, -1024, [1, 1], 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    one.PixelData = np.zeros((32, 32), np.int16).tobytes()
    one.save_as(folder / "s.dcm", enforce_file_format=True)
    (folder / "a.csv").write_text("series,slice,x,y,diameter_mm,label,patient\n1.2.3,1,16,16,8,cyst,p\n")
    mask = np.zeros((16, 16, 2), np.uint8)
    mask[4:9, 4:9] = 1
    nibabel.save(nibabel.Nifti1Image(np.zeros((16, 16, 2), np.int16), np.eye(4)), folder / "v.nii.gz")
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / "m.nii")
    return folder, {name: (folder / name).read_bytes() for name in ("s.dcm", "a.csv", "v.nii.gz", "m.nii")}


@inputs(0.06)
@given(name=CALM(["s.dcm", "s.dcm", "a.csv", "v.nii.gz", "m.nii"]), wanted=changes)
def test_a_damaged_scan(scans, name, wanted):
    folder, files = scans
    (folder / name).write_bytes(mutated(files[name], wanted))
    of_dicom = ("s.dcm", "--annotations", "a.csv")
    of_volume = ("v.nii.gz", "--mask", "m.nii", "--label", "cyst", "--patient", "p")
    try:
        arguments = of_dicom if name in ("s.dcm", "a.csv") else of_volume
        command(folder, "data", "cut-rois", *arguments, "--out", "rois", "--size", 16)
    finally:
        shutil.rmtree(folder / "rois", ignore_errors=True)
        (folder / name).write_bytes(files[name])


# --- arrays in Python ---

cells = some.one_of(some.text(max_size=4), some.integers(), some.floats(), some.none(), some.booleans(), some.binary())
columns = some.one_of(some.lists(cells, max_size=6), cells, some.lists(CALM(["a", "b"]), min_size=4, max_size=4))
usual = CALM([(4, 8, 8, 1), (4, 8, 8, 3), (4, 8, 8)])
shapes = some.one_of(usual, some.lists(some.integers(0, 5), max_size=5).map(tuple))
pixels = some.builds(np.zeros, shapes, CALM([np.uint8, np.float32, np.int64, bool, object, "U3"]))
optional = {"ids": columns, "classes": columns, "is_test": columns, "positive_class": cells}


@inputs(0.04)
@given(array=pixels | columns, labels=columns, groups=columns, others=some.fixed_dictionaries({}, optional=optional))
def test_arrays_in_python(array, labels, groups, others):
    call(lambda: lb.images(array, labels, groups, **others))


def test_the_state_of_a_folder_sees_every_change(tmp_path):
    (tmp_path / "a").write_text("1")
    before = state(tmp_path)
    (tmp_path / "b").mkdir()

    assert state(tmp_path) != before
