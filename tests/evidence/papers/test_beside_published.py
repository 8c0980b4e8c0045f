import csv
import io

import numpy as np
import pytest

from lesionbench.evidence.papers.beside_published import (
    BESIDE_PUBLISHED_COLUMNS,
    beside_published,
    beside_published_table,
)
from lesionbench.evidence.papers.grim import Printed
from lesionbench.evidence.papers.published import Published
from lesionbench.pipeline.arm import Arm, ArmKey, Role
from lesionbench.pipeline.leaderboard import ArmResult, as_csv, leaderboard, per_class_rows
from lesionbench.pipeline.predictions import Predictions

CLASSES = ("cyst", "metastasis", "hemangioma")
CLASSIC = Arm("classic", 480, "none", "kth-cnn")
# Frid-Adar et al. 2018, Table I: rows the true class, columns the predicted one
TABLE_I = np.array([[52, 1, 0], [2, 44, 18], [0, 18, 47]])


def published(metric="accuracy", text="78.6%", n=182, arm=CLASSIC, class_name="", positive_class=""):
    return Published(
        "frid-adar-2018", "Table I", "CNN-AUG", arm, positive_class, class_name, metric, Printed.parse(text), n, ""
    )


def predictions(matrix, classes):
    pairs = [(true, guess) for true, row in enumerate(matrix) for guess, count in enumerate(row) for _ in range(count)]
    labels, guesses = np.array(pairs, dtype=np.int64).T
    ids = np.array([str(index) for index in range(len(labels))])
    groups = np.arange(len(labels))
    return Predictions("test", 0, ids, groups, labels, np.eye(len(classes))[guesses], classes)


def rows_of(matrix=TABLE_I, classes=CLASSES, positive="each", failed=False):
    arm = ArmKey(**vars(CLASSIC), dataset="liver-phantom", split="3", groups="apart", positive_class=positive)
    by_seed = {} if failed else {(1, 1): [predictions(matrix, classes)]}
    results = [ArmResult(arm, Role(), 1, by_seed, int(failed))]
    return leaderboard(results), per_class_rows(results)


def compared(value, *rows):
    (row,) = beside_published([value], *(rows or rows_of()))
    return row


def test_the_paper_s_own_confusion_matrix_gives_its_own_values():
    values = [
        published("accuracy", "78.6%"),
        published("sensitivity", "78.6%"),
        published("specificity", "88.4%", None),
        published("sensitivity", "98.1%", 53, class_name="cyst"),
        published("specificity", "84.6%", 117, class_name="hemangioma"),
    ]

    rows = beside_published(values, *rows_of())

    assert all(abs(row["difference"]) < 0.0005 for row in rows)
    assert {row["status"] for row in rows} == {"measured"}
    assert [row["n_test"] for row in rows] == [182, 182, 182, 53, 65]
    assert [row["grim"] for row in rows] == ["possible", "possible", "not applicable", "possible", "possible"]


def test_the_difference_is_measured_minus_published():
    row = compared(published(text="70%"))

    assert row["published"] == 0.7
    assert row["measured"] == pytest.approx(143 / 182)
    assert row["difference"] == pytest.approx(143 / 182 - 0.7)


@pytest.mark.parametrize(
    "arm",
    [
        Arm("classic", 120, "none", "kth-cnn"),
        Arm("dcgan", 480, "none", "kth-cnn"),
        Arm("classic", 480, "classic", "kth-cnn"),
        Arm("classic", 480, "none", "linear"),
    ],
)
def test_an_arm_that_differs_in_anything_was_not_run(arm):
    row = compared(published(arm=arm))

    assert row["status"] == "not run"
    assert row["measured"] is row["difference"] is row["seeds"] is None
    assert (row["augmenter"], row["synthetic_per_class"]) == (arm.augmenter, arm.synthetic_per_class)


def test_an_arm_of_which_no_seed_is_complete_was_not_run():
    assert compared(published(), *rows_of(failed=True))["status"] == "not run"


def test_a_published_system_without_an_arm_here_says_so():
    row = compared(published(arm=None))

    assert (row["status"], row["augmenter"], row["measured"]) == ("no such arm", None, None)


def test_a_class_that_the_dataset_lacks_is_distinguished_from_an_arm_that_was_not_run():
    value = published("sensitivity", "98.1%", 53, class_name="abscess")

    assert compared(value)["status"] == "no such class"


def test_a_sensitivity_of_another_positive_class_is_not_compared():
    rows = rows_of([[288, 12], [122, 238]], ("malignant", "benign"), "benign")
    value = published("sensitivity", "0.96", 300, positive_class="malignant")

    assert compared(value, *rows)["status"] == "other positive class"
    assert compared(value, *rows_of([[288, 12], [122, 238]], ("malignant", "benign"), "malignant"))["measured"] == 0.96


def test_without_a_leaderboard_every_value_is_still_a_row():
    rows = beside_published([published(), published("auc", ".9", None)], [], [])

    assert [row["status"] for row in rows] == ["not run", "not run"]
    assert [row["dataset"] for row in rows] == [None, None]


def test_rates_have_four_decimals_in_the_file():
    text = as_csv(beside_published([published()], *rows_of()), BESIDE_PUBLISHED_COLUMNS)

    (row,) = csv.DictReader(io.StringIO(text))
    assert list(row) == list(BESIDE_PUBLISHED_COLUMNS)
    assert (row["printed"], row["published"], row["measured"]) == ("78.6%", "0.7860", "0.7857")
    assert row["difference"] == "-0.0003"
    assert row["dataset"] == "liver-phantom"


def test_the_table_shows_what_was_printed_percent_and_points():
    rows = beside_published([published(text="70%"), published("sensitivity", "96.3%", 53, arm=None)], *rows_of())

    assert beside_published_table(rows) == [
        ("table", "system", "metric", "published", "measured", "points", "GRIM"),
        ("Table I", "CNN-AUG", "accuracy", "70%", "78.57", "+8.57", "no power"),
        ("Table I", "CNN-AUG", "sensitivity", "96.3%", "no such arm", "", "impossible"),
    ]


def test_the_table_says_why_nothing_was_measured():
    (headings, row) = beside_published_table(beside_published([published()], [], []))

    assert dict(zip(headings, row, strict=True))["measured"] == "not run"
