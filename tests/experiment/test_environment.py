"""environment.json: what a run was made with, and nothing about the person or the computer."""

import getpass
import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import CommandLineHere

from lesionbench.errors import OutputError
from lesionbench.experiment import environment
from lesionbench.experiment.environment import ENVIRONMENT, read_environment

RUN = ("run", "--dataset", "skin-phantom", "--augmenter", "oversample", "--synthetic", "20", "--classifier", "linear")


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    """The command line in the folder of a run of two cells, `o`."""
    command_line = CommandLineHere(tmp_path_factory.mktemp("run"), environment={"MY_TOKEN": "hush-hush"})
    command_line(*RUN, "--seeds", 1, "--out", command_line.cwd / "o")
    return command_line


def test_a_run_names_its_plugins_libraries_data_and_modules(one_run):
    found = read_environment(one_run.cwd / "o")

    assert [(one.kind, one.spec) for one in found.plugins] == [
        ("dataset", "skin-phantom"),
        ("augmenter", "oversample"),
        ("augmenter", "none"),
        ("classifier", "linear"),
    ]
    inputs = [json.loads(path.read_text()) for path in one_run.cwd.glob("o/store/predictions/*/inputs.json")]
    assert {(found.plugins[3].code, json.dumps(found.libraries)) for _ in inputs} == {
        (one["classifier"]["code"], json.dumps(dict(sorted(one["classifier"]["versions"].items())))) for one in inputs
    }
    assert len(found.data.training_images) == 1
    assert "lesionbench.builtin.linear_fit" in found.modules
    assert "rich" in found.other_libraries
    assert found.python.endswith(platform.python_version())


def test_nothing_in_it_names_a_person_a_computer_or_a_folder(one_run):
    text = (one_run.cwd / "o" / ENVIRONMENT).read_text()

    for name in ("hush-hush", platform.node(), str(one_run.cwd), f"/{getpass.getuser()}"):
        assert name not in text


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["--data", "/home/jane/patients"], "--data .../patients"),
        (["--data=/home/jane/patients"], "--data=.../patients"),
        (["--store", "s3://user:secret@host/bucket"], "--store s3://..."),
        (["--dataset", "folder[path=/mnt/jane/x]"], "--dataset 'folder[path=.../x]'"),
        (["--data", "~/jane/x"], "--data .../x"),
        (["--data", r"C:\Users\jane\x"], "--data .../x"),
        (["--out", "runs/one", "--synthetic", "1,2"], "--out runs/one --synthetic 1,2"),
    ],
)
def test_a_command_is_kept_without_the_folders_and_hosts_in_it(typed, kept):
    assert environment._command(["/usr/bin/lesionbench", "run", *typed]) == f"lesionbench run {kept}"


def test_a_script_is_not_named():
    assert environment._command(["/home/jane/study.py", "--patients"]) == "from Python"


def test_every_start_is_kept_and_a_damaged_file_is_written_again(one_run, tmp_path):
    shutil.copytree(one_run.cwd / "o", tmp_path / "o")
    before = read_environment(tmp_path / "o").sessions

    one_run("run", tmp_path / "o")

    after = read_environment(tmp_path / "o").sessions
    assert (after[:-1], after[-1].command) == (before, "lesionbench run .../o")
    (tmp_path / "o" / ENVIRONMENT).write_text("{")
    with pytest.raises(OutputError, match="run the experiment again to restore it"):
        read_environment(tmp_path / "o")


def test_a_fit_says_which_machine_made_it(one_run):
    assert f"CPython {platform.python_version()}, 1 thread" in (one_run.cwd / "o" / "cells.csv").read_text()


def test_the_commit_of_a_package_that_is_used_in_place_says_whether_it_was_changed(tmp_path, monkeypatch):
    git = ["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@y"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    origin = json.dumps({"url": Path(tmp_path).as_uri(), "dir_info": {"editable": True}})
    monkeypatch.setattr(environment.metadata, "distribution", lambda _: Distribution(origin))

    commit = environment._commit("some-package")
    (tmp_path / "new").touch()

    assert commit is not None
    assert (len(commit), environment._commit("some-package")) == (40, f"{commit} with changes")


class Distribution:
    def __init__(self, origin):
        self.origin = origin

    def read_text(self, _):
        return self.origin


def test_a_package_from_an_index_has_no_commit():
    assert environment._commit("numpy") is None
