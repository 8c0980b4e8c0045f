"""The pools of a finished run, read again from its store."""

import re
import shutil
import tomllib

import numpy as np
import pytest

from lesionbench.audit.stored_pools import stored_pools
from lesionbench.errors import OutputError
from lesionbench.experiment.output import settings_text
from lesionbench.plugins import Plugins

RUN = ("run", "--dataset", "skin-phantom[size=16,train=60,test=20]", "--classifier", "linear", "--seeds", 1)
RUN = (*RUN, "--jobs", 1)
AUGMENTERS = ("--augmenter", "oversample", "--augmenter", "real-holdout@5+oversample@4+noise", "--synthetic", "3,7")


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    from conftest import CommandLineHere

    command_line = CommandLineHere(tmp_path_factory.mktemp("pools"))
    command_line(*RUN, *AUGMENTERS, "--split", 2, "--out", "o")
    return command_line.cwd / "o"


@pytest.fixture
def run(one_run, tmp_path):
    return shutil.copytree(one_run, tmp_path / "o")


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def test_every_pool_comes_once_fold_by_fold_with_the_real_images_its_augmenter_learned_from(run, plugins):
    found = list(stored_pools(run, plugins))

    assert [(one.job.augmenter, one.job.fold, len(one.job.before)) for one in found] == [
        ("oversample", 0, 0),
        ("oversample", 0, 1),
        ("noise", 0, 2),
        ("oversample", 1, 0),
        ("oversample", 1, 1),
        ("noise", 1, 2),
    ]
    assert [len(one.pool.images[0]) for one in found[:3]] == [7, 4, 7]
    assert [len(found[0].train) - len(one.train) for one in found[:3]] == [0, 10, 10]  # five of each class held back
    assert found[1].train is found[2].train
    for one in found:
        learned = {image.tobytes() for image in one.train.images}
        copies = [image.tobytes() in learned for images in one.pool.images for image in images]
        assert all(copies) == (one.job.augmenter == "oversample")
        assert not learned & {image.tobytes() for image in one.validation.images}


def test_the_validation_images_are_those_of_the_splits(run, plugins):
    import csv

    with (run / "splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    for one in stored_pools(run, plugins):
        expected = {row["id"] for row in rows if row["fold"] == str(one.job.fold) and row["part"] == "validation"}
        assert set(one.validation.ids.tolist()) == expected


def test_a_store_that_was_removed_is_reported_before_anything_is_loaded(run, plugins, lesionbench):
    shutil.rmtree(run / "store" / "pools")

    with pytest.raises(OutputError) as error:
        stored_pools(run, plugins)

    assert "6 of 6 pools of synthetic images (such as oversample_fold0_seed1) are not in" in str(error.value)
    advice = f"in a new folder, and audit that: lesionbench run {run}/experiment.toml"
    assert f"{advice} out='{run}-again'" in str(error.value)
    lesionbench("run", run / "experiment.toml", "--out", f"{run}-again")
    assert len(list(stored_pools(run.with_name("o-again"), plugins))) == 6


def test_a_damaged_pool_is_reported(run, plugins):
    for path in (run / "store" / "pools").glob("*/class0.npy"):
        np.save(path, np.zeros((7, 16, 16, 3), np.uint8))

    with pytest.raises(OutputError, match="is damaged; make the run again in a new folder"):
        list(stored_pools(run, plugins))


def test_a_run_of_the_baseline_alone_has_no_pools(lesionbench, plugins):
    lesionbench(*RUN, "--out", "b")

    with pytest.raises(OutputError, match="its only arm is the baseline; run it with augmenters='NAME' first"):
        stored_pools(lesionbench.cwd / "b", plugins)


def test_a_run_that_finished_no_cell_with_synthetic_images_says_how_to_go_on(run, plugins):
    cells = run / "cells.csv"
    cells.write_text(re.sub(r"^([^,\n]*-[37]_[^,\n]*),done,", r"\1,waiting,", cells.read_text(), flags=re.MULTILINE))

    with pytest.raises(OutputError, match=r"no cell with synthetic images is finished in .* type: lesionbench run"):
        stored_pools(run, plugins)


def test_images_that_are_gone_are_reported(lesionbench, plugins):
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(30):
        folder = lesionbench.cwd / "mine" / ("dark" if number % 2 else "bright")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{number}.png")
    mine = ("--dataset", "folder[size=16]", "--data", "mine", "--positive-class", "dark", "--augmenter", "oversample")
    lesionbench(*RUN, *mine, "--split", 2, "--synthetic", 3, "--out", "o")
    shutil.rmtree(lesionbench.cwd / "mine")

    with pytest.raises(OutputError, match=r"the images that the run in .* used are not there .*data='DIR'"):
        stored_pools(lesionbench.cwd / "o", plugins)


def test_the_pools_of_a_run_on_a_gpu_are_looked_for_as_such(run, plugins):
    """Nothing here needs a GPU: a pool of the CPU is none of the GPU, and the message says that it is missing."""
    path = run / "experiment.toml"
    settings = tomllib.loads(path.read_text())
    resolved = settings.pop("resolved") | {"device": "cuda"}
    path.write_text(settings_text(settings | {"device": "cuda"}, resolved))

    with pytest.raises(OutputError, match="6 of 6 pools of synthetic images"):
        stored_pools(run, plugins)
