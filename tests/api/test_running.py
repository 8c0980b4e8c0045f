"""Running from Python: the same experiment as on the command line, gone on with, refused, or stopped."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from made_images import small_images

import lesionbench
from lesionbench import DatasetError, InputError, OutputError, SettingsError
from lesionbench.builtin.controls import Noise, Oversample
from lesionbench.builtin.linear import Linear
from lesionbench.builtin.skin_phantom import SkinPhantom
from lesionbench.experiment.tables import write_tables
from lesionbench.report.terminal import print_leaderboard, print_tables

QUICK = {"classifiers": ["linear"], "synthetic": 4, "seeds": 1, "split": 2, "jobs": 1, "quiet": True}


def test_the_same_call_goes_on_and_fits_nothing_again(small_run):
    again = lesionbench.run(
        small_images(),
        augmenters=["oversample", "noise", "real-holdout"],
        synthetic=np.array([8, 4]),
        classifiers="linear",
        split=2,
        seeds=2,
        out=small_run.folder,
        quiet=True,
    )

    assert again.cells["classifier_from_store"].all()


def test_the_leaderboard_says_in_which_precision_networks_computed(tmp_path, capsys):
    run = lesionbench.run(small_images(), augmenters="oversample", precision="bf16", out=tmp_path / "run", **QUICK)

    print_tables(write_tables(run.folder))

    header, *rows = (run.folder / "leaderboard.csv").read_text().splitlines()
    assert header.endswith(",computed_in")
    assert [row.endswith(",bf16") for row in rows] == [True, True]
    assert "networks computed in bf16" in capsys.readouterr().out


def test_a_screen_of_80_columns_shows_every_name_and_every_rate_whole(small_run, monkeypatch, capsys):
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "80"}.items():  # the first makes it a terminal
        monkeypatch.setenv(name, value)

    print_leaderboard(write_tables(small_run.folder).leaderboard)

    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    names, lines = "".join(re.findall(r"(?m)^ (\S+)", shown)), shown.splitlines()
    assert max(map(len, lines)) <= 80
    for row in small_run.leaderboard.itertuples():
        assert row.augmenter in names
        assert any(f"{100 * row.auc:.2f}" in line and f"{100 * row.f1:.2f}" in line for line in lines)


def test_the_command_line_goes_on_with_a_run_of_arrays(small_run):
    command = [sys.executable, "-m", "lesionbench", "run", small_run.folder / "experiment.toml", "--quiet"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert lesionbench.open(small_run.folder).cells["classifier_from_store"].all()


def test_a_run_of_arrays_can_be_moved(small_run, tmp_path):
    import shutil

    shutil.copytree(small_run.folder, tmp_path / "moved")
    command = [sys.executable, "-m", "lesionbench", "run", tmp_path / "moved", "--quiet"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr


def test_other_images_in_the_folder_of_a_run_are_refused_and_nothing_is_overwritten(small_run):
    before = (small_run.folder / "data" / "images.npy").read_bytes()

    with pytest.raises(OutputError, match="holds this experiment with other images"):
        lesionbench.run(
            small_images(seed=1),
            augmenters=["oversample", "noise", "real-holdout"],
            synthetic=[4, 8],
            classifiers=["linear"],
            split=2,
            seeds=2,
            out=small_run.folder,
        )

    assert (small_run.folder / "data" / "images.npy").read_bytes() == before


def test_a_folder_with_other_files_is_refused_before_images_are_written_into_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scan.txt").write_text("a user's own")
    (tmp_path / "notes.txt").write_text("a user's own")

    with pytest.raises(OutputError, match="holds other files"):
        lesionbench.run(small_images(), out=tmp_path, **QUICK)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(DatasetError, match=r"must hold images that lesionbench\.run wrote"):
        lesionbench.run(small_images(), out=tmp_path, **QUICK)

    assert (tmp_path / "data" / "scan.txt").exists()


def test_an_experiment_that_is_refused_leaves_nothing_behind(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'malignant'"):
        lesionbench.run(small_images(), out=tmp_path / "run", **{**QUICK, "positive_class": "malign"})

    assert not (tmp_path / "run").exists()


def test_plugin_objects_are_the_names_that_they_stand_for(tmp_path):
    run = lesionbench.run(
        SkinPhantom(train=60, test=20),
        augmenters=[Oversample(), "noise"],
        classifiers=Linear(components=5),
        synthetic=4,
        seeds=1,
        out=tmp_path / "run",
        jobs=1,
        quiet=True,
    )

    assert run.settings.dataset == "skin-phantom[train=60,test=20]"
    assert run.settings.augmenters == ("oversample", "noise")
    assert run.settings.classifiers == ("linear[components=5]",)
    assert run.finished


class Named(lesionbench.Augmenter):
    """An augmenter with a setting that is text."""

    name = "named"
    text: str = "a"

    def fit(self, train, context):
        raise NotImplementedError


class Odd(lesionbench.Dataset):
    """A dataset whose `load` breaks its promise."""

    name = "odd"
    needs_data = False

    def load(self, root):
        return 3


@pytest.mark.parametrize("out", ["a" * 300, "/dev/null", "/dev/null/run", 3, "a\0b"])
def test_what_can_be_no_folder_is_refused(out):
    with pytest.raises(InputError, match="out"):
        lesionbench.run(small_images(), out=out, **QUICK)


def test_a_dataset_that_returns_something_else_is_named():
    with pytest.raises(DatasetError, match=r"'odd' cannot be loaded .*must return a LoadedDataset, not int"):
        lesionbench.plan(Odd())


def test_a_number_of_numpy_is_a_number():
    planned = lesionbench.plan(small_images(), seeds=np.array(2), synthetic=np.int64(4), controls=np.bool_(False))

    assert planned.found.experiment.seeds == 2
    assert planned.found.experiment.synthetic == (4,)


BAD = {
    "did you mean 'augmenters'": {"augmenter": "noise"},
    "no augmenter 'nois' is installed; did you mean 'noise'": {"augmenters": ["nois"]},
    r"write Noise\(\), not the class Noise": {"augmenters": [Noise]},
    "an augmenter is a name or an object of a subclass of Augmenter, not Linear": {"augmenters": [Linear()]},
    "an augmenter is a name or an object of a subclass of Augmenter, not 3": {"augmenters": [3]},
    "seeds: Input should .* not 0; try seeds=3": {"seeds": 0},
    "seeds: a whole number is needed": {"seeds": np.array([2])},
    "synthetic: a dose is a whole number": {"synthetic": 20.5},
    "split: a split is": {"split": pd.NA},
    "classifiers: at least one is needed": {"classifiers": []},
    "an augmenter is a name or an object .* not b'noise'": {"augmenters": b"noise"},
    "the settings of .* cannot be written as text": {"augmenters": [Named(text="a,b")]},
    "store is a path": {"store": 3},
    r"the output must be a folder, .* choose another store": {"store": "/dev/null"},
    "an executor is named by text, such as 'local', not 3": {"executor": 3},
    "the executor 'local' has no scheduler; leave out scheduler='x', or add executor='dask'": {"scheduler": "x"},
    "processes is a whole number from 1 to 4096, or auto, not 0; try jobs=2": {"jobs": 0},
    "processes is a whole number from 1 to 4096, or auto, not 1.5": {"jobs": 1.5},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, message):
    with pytest.raises(InputError, match=message):
        lesionbench.run(small_images(), out=tmp_path / "run", **{**QUICK, **BAD[message]})

    assert not (tmp_path / "run").exists()


def test_a_bare_array_is_refused_with_what_to_type(tmp_path):
    with pytest.raises(SettingsError, match=r"lesionbench\.images\(array, labels\)"):
        lesionbench.run(np.zeros((4, 8, 8), np.uint8), out=tmp_path / "run")


def test_images_from_arrays_have_no_other_folder(tmp_path):
    with pytest.raises(SettingsError, match="leave out data="):
        lesionbench.run(small_images(), data=tmp_path, out=tmp_path / "run")


def test_without_out_other_images_get_another_folder():
    from lesionbench.api.request import understand

    folders = {understand(small_images(seed), None, {"seeds": 1}).folder(None) for seed in (0, 0, 1)}

    assert len(folders) == 2
    assert all(str(folder).startswith("runs/arrays-") for folder in folders)


class Failing(lesionbench.Augmenter):
    name = "failing"

    def fit(self, train, context):
        raise ValueError("no <b>luck</b>")


def test_a_failed_cell_does_not_raise_and_the_run_says_so(tmp_path):
    run = lesionbench.run(small_images(), out=tmp_path / "run", **{**QUICK, "augmenters": [Failing()]})

    assert not run.finished
    assert run.progress == "2 of 4 cells done, 2 failed: see .failed"
    assert list(run.failed["error"]) == ["failing: ValueError: no <b>luck</b>"] * 2
    assert "2 failed" in run._repr_html_()
    assert "<b>luck" not in run._repr_html_()


def test_an_interrupt_passes_through_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lesionbench.api.running.run_experiment", interrupted)

    with pytest.raises(KeyboardInterrupt):
        lesionbench.run(small_images(), out=tmp_path / "run", **{**QUICK, "quiet": False})

    assert f"what is finished in {tmp_path / 'run'} is kept" in capsys.readouterr().out
