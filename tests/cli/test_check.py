from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from lesionbench import Augmenter, Dataset, DatasetError, LoadedDataset, hookimpl
from lesionbench.cli import main
from lesionbench.errors import SettingsError
from lesionbench.plugins import Plugins
from lesionbench.testing import tiny_images


class Crashes(Augmenter):
    """Prints and then raises what it likes."""

    name: ClassVar[str] = "crashes"

    def fit(self, train, context):
        print("about to crash")
        raise KeyError("weights")


class NeedsAFolder(Dataset):
    """Tiny images, if there is a folder."""

    name: ClassVar[str] = "needs-a-folder"

    def load(self, root):
        if not (root / "here").is_file():
            raise DatasetError(f"{root} must hold a file 'here'")
        return LoadedDataset(tiny_images())


@pytest.fixture
def check(monkeypatch):
    """Runs `lesionbench check` in this process, with the two plugins above installed."""
    module = SimpleNamespace(
        register_augmenters=hookimpl(lambda: [Crashes]), register_datasets=hookimpl(lambda: [NeedsAFolder])
    )
    installed = Plugins.load()
    installed.register("lesionbench-crashes", module)
    monkeypatch.setattr(Plugins, "load", lambda: installed)
    monkeypatch.delenv("LESIONBENCH_DATA", raising=False)
    return lambda *arguments: CliRunner().invoke(main.app, ["check", *map(str, arguments)])


def test_a_plugin_that_keeps_its_contract_ends_with_status_0_and_a_line_a_check(check):
    done = check("oversample")
    lines = done.output.splitlines()
    assert 0 == done.exit_code
    assert "augmenter oversample  (lesionbench)" == lines[0]
    assert "  ok       doses are nested" in lines
    assert "  skipped  transform is seeded: its sampler has no transform" in lines
    assert "oversample: 24 ok, 0 failed, 11 skipped" == lines[-1]


def test_a_plugin_that_crashes_ends_with_status_1_and_no_traceback(check):
    done = check("crashes")
    assert 1 == done.exit_code
    assert "  FAILED   doses are nested: KeyError: 'weights'" in done.output.splitlines()
    assert "Traceback" not in done.output
    assert "about to crash" not in done.output
    assert "crashes: 6 ok, 24 failed, 5 skipped" == done.output.splitlines()[-1]


def test_an_unknown_name_is_reported_with_the_nearest_of_any_kind(check):
    assert "did you mean 'oversample'?" in message(check("oversampel"), SettingsError)
    assert "did you mean 'skin-phantom'?" in message(check("skin-fantom"), SettingsError)


def test_the_checks_that_load_are_skipped_without_a_folder_and_run_with_one(check, tmp_path):
    assert "skipped  every class has images: it reads files, and no folder is given" in check("needs-a-folder").output
    (tmp_path / "here").write_text("")
    done = check("needs-a-folder", "--data", tmp_path)
    assert "  ok       every class has images" in done.output.splitlines()
    assert 0 == done.exit_code


def test_data_is_also_found_in_the_usual_place(check, tmp_path, monkeypatch):
    (tmp_path / "needs-a-folder").mkdir()
    (tmp_path / "needs-a-folder" / "here").write_text("")
    monkeypatch.setenv("LESIONBENCH_DATA", str(tmp_path))
    assert "  ok       every class has images" in check("needs-a-folder").output.splitlines()


def test_a_data_folder_that_is_missing_is_reported(check, tmp_path):
    found = message(check("needs-a-folder", "--data", tmp_path / "nowhere"), DatasetError)
    assert found.startswith(f"the data must be in an existing folder, not {tmp_path / 'nowhere'}; name their folder")


def test_an_unknown_name_ends_with_status_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lesionbench", "check", "oversampel"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert 2 == ended.value.code
    assert "lesionbench: no plugin 'oversampel' is installed" in capsys.readouterr().err


def message(done, kind):
    assert isinstance(done.exception, kind)
    return str(done.exception)
