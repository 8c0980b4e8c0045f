"""The papers' experiments load, and what was published stands beside arms that they have."""

from pathlib import Path

import pytest

from lesionbench.builtin.liver_looks import CLASSES
from lesionbench.evidence.papers.beside_published import beside_published
from lesionbench.evidence.papers.published import published_beside, read_published
from lesionbench.experiment.grid import arms
from lesionbench.experiment.settings import make_experiment, read_toml
from lesionbench.plugins import Plugins

EXPERIMENTS = Path(__file__).parent.parent / "benchmarks" / "experiments"
TOMLS = sorted(EXPERIMENTS.glob("*/*.toml"))
PUBLISHED = sorted(EXPERIMENTS.glob("*/published*.csv"))
KNOWN_CLASSES = {*CLASSES, "benign", "malignant"}


def names(path):
    return f"{path.parent.name}/{path.name}"


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def arms_of(toml, plugins):
    """The arms as the leaderboard names them."""
    found = arms(make_experiment(read_toml(toml), plugins))
    return {(arm.augmenter, arm.synthetic_per_class, arm.on_the_fly, arm.classifier) for arm in found}


def named_arms(values):
    named = [value.arm for value in values if value.arm]
    return {(arm.augmenter, arm.synthetic_per_class, arm.on_the_fly, arm.classifier) for arm in named}


def test_there_are_the_experiments_of_three_papers():
    folders = {path.parent.name for path in TOMLS}

    assert folders == {"kth-2019", "frid-adar-2018", "csae-2020"}
    for folder in folders:
        for file in ("experiment.toml", "published.csv", "README.md"):
            assert (EXPERIMENTS / folder / file).is_file()


@pytest.mark.parametrize("toml", TOMLS, ids=names)
def test_every_experiment_file_is_valid_and_has_a_published_arm(toml, plugins):
    values = read_published(published_beside(toml))

    assert named_arms(values) & arms_of(toml, plugins)


@pytest.mark.parametrize("path", PUBLISHED, ids=names)
def test_every_arm_of_a_published_value_is_one_of_its_experiments(path, plugins):
    experiments = [toml for toml in path.parent.glob("*.toml") if published_beside(toml) == path]
    known = set().union(*(arms_of(toml, plugins) for toml in experiments))

    assert set() == named_arms(read_published(path)) - known


@pytest.mark.parametrize("path", PUBLISHED, ids=names)
def test_a_published_class_is_one_of_the_datasets(path):
    assert {value.class_name for value in read_published(path)} <= {"", *KNOWN_CLASSES}


@pytest.mark.parametrize("path", [path for path in PUBLISHED if path.name != "published.csv"], ids=names)
def test_another_setting_of_a_paper_repeats_its_published_values(path):
    def told(value):
        return (value.table, value.system, value.class_name, value.metric, value.printed, value.n)

    whole = {told(value) for value in read_published(path.with_name("published.csv"))}

    assert {told(value) for value in read_published(path)} <= whole


def test_of_frid_adar_one_published_value_is_impossible_and_four_are_truncated():
    rows = beside_published(read_published(EXPERIMENTS / "frid-adar-2018" / "published.csv"), [], [])

    assert [row["printed"] for row in rows if row["grim"] == "impossible"] == ["96.3%"]
    assert [row["printed"] for row in rows if row["grim"] == "by truncation"] == ["68.7%", "91.4%", "66.1%", "62.5%"]


def test_two_decimals_of_the_kth_report_say_nothing_about_its_counts():
    rows = beside_published(read_published(EXPERIMENTS / "kth-2019" / "published.csv"), [], [])

    assert {row["grim"] for row in rows if row["n"]} == {"no power"}
