"""`lesionbench audit samples` on a real, small run: an augmenter that returns training images must be caught."""

import csv
import shutil

import pytest
from conftest import CommandLineHere, install
from PIL import Image

CODE = '''
"""Augmenters that draw: new phantoms, every second image a copy, and copies changed a little."""
import numpy as np

from typing import ClassVar

from lesionbench import Augmenter, hookimpl


def drawn(label, count, seed):
    from lesionbench.builtin.skin_phantom import SkinPhantom

    images = SkinPhantom(size=32, train=4 * count, test=2, seed=1 + seed % 1000).load(None).images
    return images.of_class(label)[:count].copy()


class Halves:
    def __init__(self, train):
        self.train = train

    def sample(self, label, count, seed):
        images = drawn(label, count, seed)
        images[::2] = self.train.of_class(label)[: len(images[::2])]
        return images


class Changed(Halves):
    def sample(self, label, count, seed):
        """Turned; then every second noisy, the others a grey level brighter."""
        images = np.rot90(self.train.of_class(label)[:count], seed % 4, axes=(1, 2)).astype(int)
        images[::2] += np.random.default_rng(seed).integers(-2, 3, images[::2].shape)
        images[1::2] += 1
        return np.clip(images, 0, 255).astype(np.uint8)


class New(Halves):
    def sample(self, label, count, seed):
        return drawn(label, count, seed)


class Some(Augmenter):
    sampler: ClassVar[type] = Halves

    def fit(self, train, context):
        return self.sampler(train)


class HalfCopies(Some):
    name: ClassVar[str] = "half-copies"


class ChangedCopies(Some):
    name: ClassVar[str] = "changed-copies"
    sampler: ClassVar[type] = Changed


class NewImages(Some):
    name: ClassVar[str] = "new-images"
    sampler: ClassVar[type] = New


@hookimpl
def register_augmenters():
    return [HalfCopies, ChangedCopies, NewImages]
'''
RUN = ("run", "--dataset", "skin-phantom[train=360,test=40]", "--validation", 0.3, "--classifier", "linear")
RUN = (*RUN, "--augmenter", "oversample", "--augmenter", "half-copies", "--augmenter", "changed-copies")
RUN = (*RUN, "--augmenter", "new-images", "--augmenter", "oversample@6+new-images", "--synthetic", "10,20")
RUN = (*RUN, "--seeds", 1, "--jobs", 1)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A command line in whose folder the run was made and audited, and what the audit said."""
    folder = tmp_path_factory.mktemp("audit")
    site = install(folder / "source", "lesionbench-copying", CODE, folder / "site")
    command_line = CommandLineHere(tmp_path_factory.mktemp("run"), (site,))
    command_line(*RUN, "--out", "o")
    return command_line, command_line("audit", "samples", "o").stdout


def test_every_copy_is_caught_and_new_images_are_not(audited):
    rows = table(audited[0].cwd / "o" / "memorisation.csv")

    shares = {row["augmenter"]: set() for row in rows}
    for row in rows:
        shares[row["augmenter"]].add(row["copies_share"])
        assert row["reason"] == ""
    assert shares["oversample"] == {"1.0000"}
    assert shares["changed-copies"] == {"1.0000"}
    assert min(map(float, shares["half-copies"])) >= 0.5
    assert max(map(float, shares["new-images"])) <= 0.1  # 20 images: at .01, more than 2 has a probability of .001
    assert {row["exact_copies"] for row in rows if row["augmenter"] == "oversample" and row["class"] == "all"} == {
        row["n"] for row in rows if row["augmenter"] == "oversample" and row["class"] == "all"
    }
    assert {row["exact_copies"] for row in rows if row["augmenter"] == "half-copies"} == {"10", "20"}
    assert [row["class"] for row in rows[:3]] == ["benign", "malignant", "all"]
    assert len(rows) == 3 * 5  # both classes and all, pools: the chain has one of its own


def test_the_leaderboard_counts_copies_and_leaves_out_arms_of_nothing_else(audited):
    out = audited[0].cwd / "o"
    rows = {
        (row["augmenter"], row["synthetic_per_class"]): row for row in table(out / "leaderboard_without_copies.csv")
    }
    measured = {(row["augmenter"], row["synthetic_per_class"]): row for row in table(out / "leaderboard.csv")}

    assert {augmenter for augmenter, _ in measured} - {augmenter for augmenter, _ in rows} == {
        "oversample",
        "changed-copies",
    }
    for arm, row in rows.items():
        assert row["auc"] == measured[arm]["auc"]
    half = rows["half-copies", "20"]
    assert (half["drawn_per_class"], half["copies_per_class"][:2]) == ("20.0000", "10")
    assert float(half["new_per_class"]) == 20 - float(half["copies_per_class"])
    assert rows["none", "0"]["copies_per_class"] == "0.0000"
    chain = rows["oversample@6+new-images", "10"]
    assert chain["drawn_per_class"] == "16.0000"
    assert 6 <= float(chain["copies_per_class"]) <= 7


def test_what_is_left_out_and_what_was_measured_is_said(audited):
    words = " ".join(audited[1].split())

    assert "left out, since all its images are copies: oversample@20 (linear)" in words
    assert "left out, since all its images are copies: changed-copies@10 (linear)" in words
    assert "the metrics were measured with the copies in: nothing was trained again" in words
    assert "lesionbench run o/experiment.toml --controls --out o-controls --store o/store" in words


def test_a_contact_sheet_is_drawn_of_every_pool(audited):
    folder = audited[0].cwd / "o" / "audit"

    names = sorted(path.name for path in folder.iterdir())

    assert len(names) == 5
    assert "closest_half-copies_fold0_seed1.png" in names
    for name in names:
        with Image.open(folder / name) as picture:
            assert picture.size[0] > 800


def test_the_same_audit_writes_the_same_bytes_whatever_folder_it_writes_into(audited):
    command_line, _ = audited

    command_line("audit", "samples", "o", "--out", "elsewhere")

    for name in ("memorisation.csv", "leaderboard_without_copies.csv"):
        assert (command_line.cwd / "elsewhere" / name).read_bytes() == (command_line.cwd / "o" / name).read_bytes()


def test_a_smaller_rate_than_the_held_out_images_allow_is_reported(audited):
    said = audited[0]("audit", "samples", "o", "--false-alarms", 0.001, "--out", "rare").stdout

    assert "a false-alarm rate of 0.001 needs 999 held-out images" in " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["."], "holds no experiment: there is no experiment.toml in it; give the --out folder of a run"),
        (["nowhere"], "holds no experiment"),
        (["o", "--false-alarms", "0"], "a false-alarm rate lies above 0 and is 0.5 at most"),
        (["o", "--false-alarms", "nan"], "not nan; try --false-alarms 0.01"),
        (["o", "--out", "o/cells.csv"], "the output must be a folder, but o/cells.csv is a file"),
    ],
)
def test_what_cannot_be_audited_is_one_message(audited, arguments, message):
    refused = audited[0]("audit", "samples", *arguments, status=2)

    assert message in " ".join(refused.stderr.split())


def test_a_run_without_its_store_says_what_to_type(audited, tmp_path):
    shutil.copytree(audited[0].cwd / "o", tmp_path / "o", ignore=shutil.ignore_patterns("store"))
    moved = CommandLineHere(tmp_path, audited[0].packages)

    refused = moved("audit", "samples", "o", "--out", "new", status=2)

    assert "5 of 5 pools of synthetic images" in refused.stderr
    assert "lesionbench run o/experiment.toml --out o-again" in refused.stderr
    assert not (tmp_path / "new").exists()
