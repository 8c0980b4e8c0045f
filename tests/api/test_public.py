"""What `lesionbench` exports: listed, documented, and light to import."""

import inspect
from pathlib import Path

import pytest

import lesionbench
from lesionbench.api.request import Settings
from lesionbench.experiment.settings import CONTROLS, Experiment

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "python-api.md").read_text()
GUIDE = (DOCS / "writing-a-plugin.md").read_text()
API = [name for name, module in lesionbench._HOME.items() if module.startswith("api.")]
FUNCTIONS = [name for name in API if not isinstance(getattr(lesionbench, name), type)]


def test_every_public_name_is_listed_and_can_be_had():
    assert set(lesionbench._HOME) <= set(dir(lesionbench))
    assert {*lesionbench.__all__, "open"} == set(lesionbench._HOME)
    assert all(getattr(lesionbench, name) is not None for name in lesionbench._HOME)


def test_a_star_import_does_not_hide_open():
    names = {}
    exec("from lesionbench import *", names)

    assert "run" in names
    assert "open" not in names


@pytest.mark.parametrize("name", sorted(lesionbench._HOME))
def test_every_public_name_is_documented(name):
    assert f"lesionbench.{name}" in PAGE or f"`{name}`" in PAGE + GUIDE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_documented(name):
    section = PAGE.partition(f"### `lesionbench.{name}(")[2].partition("\n##")[0]
    shared = PAGE.partition("### `lesionbench.run(")[2].partition("\n##")[0] if name == "plan" else ""

    for argument in inspect.signature(getattr(lesionbench, name)).parameters:
        assert argument == "settings" or argument in section + shared, argument


@pytest.mark.parametrize("name", ["Run", "RunPlan"])
def test_every_property_and_method_is_documented(name):
    cls = getattr(lesionbench, name)

    for member in {*vars(cls), *cls.__dataclass_fields__}:
        if not member.startswith("_"):
            assert f"`.{member}" in PAGE, member


def test_run_takes_every_setting_of_an_experiment():
    assert {*Settings.__annotations__, "dataset", "data"} == {*Experiment.model_fields, CONTROLS}
    for setting in Settings.__annotations__:
        assert f"`{setting}`" in PAGE
        assert setting in inspect.getdoc(lesionbench.run)
