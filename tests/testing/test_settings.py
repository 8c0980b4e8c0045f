from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import ConfigDict, Field

from lesionbench import Augmenter
from lesionbench.testing import Skipped, augmenter_checks, quick


class Plain(Augmenter):
    """Nothing but settings."""

    name: ClassVar[str] = "plain"

    def fit(self, train, context):
        raise NotImplementedError


class HasNoDefault(Plain):
    size: int = Field(description="Height and width, in pixels.")


class HasAnInvalidDefault(Plain):
    size: int = Field(0, ge=8, description="Height and width, in pixels.")


class RefusesFewSteps(Plain):
    steps: int = Field(1000, ge=100, description="Optimiser steps.")


class HasNoDescription(Plain):
    size: int = 32


class IsNotFrozen(Plain):
    model_config = ConfigDict(frozen=False)


class TakesAnyKey(Plain):
    model_config = ConfigDict(extra="allow")


class ForgetsASettingInJson(Plain):
    size: int = Field(32, exclude=True, description="Height and width, in pixels.")

    def __eq__(self, other):
        return False

    __hash__ = None


BROKEN = {
    HasNoDefault: {"settings_have_usable_defaults"},
    HasAnInvalidDefault: {"settings_have_usable_defaults"},
    RefusesFewSteps: {"settings_have_usable_defaults"},
    HasNoDescription: {"settings_have_a_description"},
    IsNotFrozen: {"settings_are_frozen"},
    TakesAnyKey: {"settings_refuse_unknown_keys"},
    ForgetsASettingInJson: {"settings_survive_json"},
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_broken_settings_are_caught_by_the_check_meant_for_them(broken, failing):
    about_settings = {name for name in failing("augmenter", broken) if name.startswith("settings")}
    assert BROKEN[broken] == about_settings


def test_a_plugin_that_cannot_be_built_is_skipped_by_the_other_checks(failing):
    assert {"settings_have_usable_defaults"} == failing("augmenter", HasNoDefault)
    with pytest.raises(Skipped, match="its default settings are refused"):
        quick(HasNoDefault)


def import_check():
    return next(check for check in augmenter_checks() if check.__name__ == "check_importing_it_loads_nothing_heavy")


def a_class_of(tmp_path, monkeypatch, text):
    """A class that says it is defined in a module of this text, which this process never imports."""
    (tmp_path / "sklearn.py").write_text("")  # heavy by its name alone
    (tmp_path / "plugin_of_a_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return type("Listed", (Plain,), {"__module__": "plugin_of_a_test"})


def test_a_module_that_imports_something_heavy_is_caught(tmp_path, monkeypatch):
    with pytest.raises(AssertionError) as error:
        import_check()(a_class_of(tmp_path, monkeypatch, "import sklearn"))
    expected = "importing plugin_of_a_test must not import sklearn; move that import into fit or load"
    assert expected == str(error.value)


def test_a_module_that_cannot_be_imported_afresh_is_caught_with_its_error(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match=r"must succeed, but: .*No module named 'nowhere'"):
        import_check()(a_class_of(tmp_path, monkeypatch, "import nowhere"))


def test_a_module_that_imports_when_it_fits_is_fine(tmp_path, monkeypatch):
    import_check()(a_class_of(tmp_path, monkeypatch, "def fit():\n    import sklearn"))


def test_a_class_of_a_script_is_not_imported_because_the_script_would_run_again(monkeypatch):
    class Mine(Plain):
        """Defined in a script."""

    monkeypatch.setattr(Mine, "__module__", "__main__")

    with pytest.raises(Skipped, match="a script or a notebook, which is run and not imported"):
        import_check()(Mine)
