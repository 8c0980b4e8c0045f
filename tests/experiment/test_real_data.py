"""The real skin lesions, where they are at hand: $LESIONBENCH_DATA/skin-lesion."""

import csv
import os
from pathlib import Path

import pytest

DATA = os.environ.get("LESIONBENCH_DATA")
pytestmark = pytest.mark.skipif(
    not DATA or not (Path(DATA) / "skin-lesion").is_dir(),
    reason="needs the real skin lesions: set LESIONBENCH_DATA to the folder that holds skin-lesion",
)


@pytest.mark.parametrize(
    ("dataset", "sizes", "groups"),
    [
        ("skin-lesion", "2109 train, 528 validation, 660 test", "shared"),
        ("skin-lesion[test=clean]", "2109 train, 528 validation, 544 test", "apart"),
    ],
)
def test_the_official_split_is_used_as_published_and_its_leak_is_reported(lesionbench, dataset, sizes, groups):
    planned = lesionbench("plan", "--dataset", dataset, "--split", "official").stdout

    assert f"split official ({sizes}), groups {groups}" in planned
    assert ("116 of 660 test images show a lesion that is also in train" in planned) == (groups == "shared")


@pytest.mark.slow
def test_the_baseline_is_as_good_as_the_reports_cnn_should_be(lesionbench):
    """With 1,500 steps, an independent pilot had an accuracy of .844 to .856 and an AUC of .933 to .936."""
    lesionbench("run", "--dataset", "skin-lesion", "--split", "official", "--seeds", 2, "--out", "o")

    with (lesionbench.cwd / "o" / "leaderboard.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert row["n_test"] == "660"
    assert 0.83 < float(row["accuracy"]) < 0.89
    assert 0.92 < float(row["auc"]) < 0.95
