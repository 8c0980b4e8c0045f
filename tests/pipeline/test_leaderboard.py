import numpy as np
import pytest
from made_arms import arm_key

from lesionbench.errors import ContractError, OutputError
from lesionbench.pipeline.arm import Role
from lesionbench.pipeline.leaderboard import COLUMNS, ArmResult, as_csv, leaderboard, per_class_rows
from lesionbench.pipeline.predictions import Predictions, as_text, pooled, read_predictions

ARM = arm_key(positive_class="b"), Role()


def predictions(ids, labels, score, fold=0, part="test"):
    score = np.asarray(score, float)
    groups = np.arange(len(ids), dtype=np.int64)
    return Predictions(part, fold, np.array(ids), groups, np.array(labels), np.stack([1 - score, score], 1), ("a", "b"))


def test_folds_are_pooled_before_measuring():
    folds = [predictions(["p", "q"], [1, 1], [0.9, 0.9], 0), predictions(["r", "s"], [0, 1], [0.1, 0.2], 1)]

    row = leaderboard([ArmResult(*ARM, 2, {(1, 1): folds}, 0)])[0]

    assert row["n_test"] == 4
    assert row["sensitivity"] == pytest.approx(2 / 3)


def test_seeds_are_averaged_after_measuring():
    right, wrong = (predictions(["p", "q"], [0, 1], score) for score in ([0.1, 0.9], [0.1, 0.2]))

    row = leaderboard([ArmResult(*ARM, 1, {(1, 1): [right], (2, 1): [wrong]}, 0)])[0]

    assert (row["seeds"], row["sensitivity"], row["n_test"]) == (2, 0.5, 2)


def test_a_seed_that_lacks_a_fold_is_left_out():
    fold = predictions(["p", "q"], [0, 1], [0.1, 0.9])

    row = leaderboard([ArmResult(*ARM, 2, {(1, 1): [fold]}, 1)])[0]

    assert (row["seeds"], row["n_test"], row["accuracy"], row["failed_cells"]) == (0, 0, None, 1)


def test_an_image_tested_twice_is_refused():
    with pytest.raises(OutputError, match="one fold only"):
        pooled([predictions(["p"], [1], [0.9]), predictions(["p"], [1], [0.9], fold=1)])


def test_unknown_numbers_are_empty_fields_and_rates_have_four_decimals():
    text = as_csv([{"a": None, "b": 0.123456, "c": 3}], ["a", "b", "c"])

    assert text == "a,b,c\n,0.1235,3\n"


def test_the_columns_are_those_promised():
    assert ",".join(COLUMNS) == (
        "dataset,split,groups,augmenter,synthetic_per_class,on_the_fly,classifier,positive_class,seeds,n_test,"
        "sensitivity,specificity,balanced_accuracy,accuracy,auc,f1,failed_cells"
    )


def test_each_class_has_a_row():
    fold = predictions(["p", "q", "r"], [0, 1, 1], [0.1, 0.9, 0.2])

    rows = per_class_rows([ArmResult(*ARM, 1, {(1, 1): [fold]}, 0)])

    assert [(row["class"], row["n_test"], row["sensitivity"]) for row in rows] == [("a", 1, 1.0), ("b", 2, 0.5)]


def test_predictions_read_back_are_the_same_bits(tmp_path):
    path = tmp_path / "p.csv"
    score = np.random.default_rng(0).random(50)
    names = [f'odd, "name" {number}.png' for number in range(50)]
    written = predictions(names, [0, 1] * 25, score, fold=3)
    path.write_text(as_text([predictions(["v"], [0], [0.4], 3, "validation"), written]))

    read = read_predictions(path, path.read_bytes())["test"]

    assert np.array_equal(read.scores, written.scores)
    assert read.ids.tolist() == names
    assert (read.fold, read.classes, read.labels.tolist()) == (3, ("a", "b"), [0, 1] * 25)


@pytest.mark.parametrize("text", ["", "id,label\n1,2\n", "part,id,group,label,fold,score_a\ntest,p,0,zz,0,1.0\n"])
def test_a_file_that_holds_no_predictions_is_named(tmp_path, text):
    path = tmp_path / "p.csv"
    path.write_text(text)

    with pytest.raises(OutputError, match=r"p\.csv does not hold predictions"):
        read_predictions(path, path.read_bytes())["test"]


@pytest.mark.parametrize(
    ("scores", "rule"),
    [
        (np.array([[0.5, 0.6]]), "must sum to 1"),
        (np.array([[np.nan, 1.0]]), "finite"),
        (np.array([[-0.5, 1.5]]), "not negative"),
        (np.array([[1.0]]), "scores must be float64"),
        (np.array([[0.5, 0.5]], np.float32), "scores must be float64"),
        ([[0.5, 0.5]], "scores must be float64"),
    ],
)
def test_scores_that_are_no_probabilities_are_refused(scores, rule, one_image):
    with pytest.raises(ContractError, match=rule):
        Predictions.of("test", 0, one_image, scores)


@pytest.fixture
def one_image():
    from lesionbench import LabelledImages

    zero = np.zeros(1, np.int64)
    return LabelledImages(np.zeros((1, 4, 4, 1), np.uint8), zero, zero, np.array(["p"]), ("a", "b"))
