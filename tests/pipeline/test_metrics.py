import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from lesionbench.pipeline.metrics import auc, confusion_matrix, measure, one_versus_rest, per_class

KTH_REAL = [[288, 12], [122, 238]]  # rows and columns malignant, benign
KTH_480 = [[258, 42], [66, 294]]
FRID_ADAR_CLASSIC = [[52, 1, 0], [2, 44, 18], [0, 18, 47]]
FRID_ADAR_GAN = [[53, 0, 0], [2, 52, 10], [1, 13, 51]]


def predictions(matrix):
    """Labels and scores that have this confusion matrix."""
    pairs = [(row, column) for row, cells in enumerate(matrix) for column, n in enumerate(cells) for _ in range(n)]
    labels = np.array([row for row, _ in pairs])
    scores = np.full((len(pairs), len(matrix)), 0.1 / (len(matrix) - 1))
    scores[np.arange(len(pairs)), [column for _, column in pairs]] = 0.9
    return labels, scores


@pytest.mark.parametrize(
    ("matrix", "sensitivity", "specificity", "accuracy"),
    [(KTH_REAL, 0.96, 238 / 360, 526 / 660), (KTH_480, 0.86, 294 / 360, 552 / 660)],
)
def test_the_kth_tables_have_malignant_as_the_positive_class(matrix, sensitivity, specificity, accuracy):
    labels, scores = predictions(matrix)

    metrics = measure(labels, scores, positive=0)

    assert (metrics.sensitivity, metrics.specificity, metrics.accuracy) == (sensitivity, specificity, accuracy)


def test_the_other_positive_class_swaps_sensitivity_and_specificity():
    labels, scores = predictions(KTH_REAL)

    one, other = measure(labels, scores, 0), measure(labels, scores, 1)

    assert (one.sensitivity, one.specificity) == (other.specificity, other.sensitivity)
    assert (one.auc, one.accuracy) == (pytest.approx(other.auc), other.accuracy)


@pytest.mark.parametrize(
    ("matrix", "sensitivity", "specificity"), [(FRID_ADAR_CLASSIC, 78.57, 88.39), (FRID_ADAR_GAN, 85.71, 92.40)]
)
def test_three_classes_give_the_published_weighted_averages(matrix, sensitivity, specificity):
    labels, scores = predictions(matrix)

    metrics = measure(labels, scores, positive=None)

    assert round(100 * metrics.sensitivity, 2) == sensitivity
    assert round(100 * metrics.specificity, 2) == specificity
    assert metrics.sensitivity == pytest.approx(metrics.accuracy)


def test_one_class_against_the_rest_gives_the_published_rates():
    matrix = np.array(FRID_ADAR_CLASSIC)

    rates = [one_versus_rest(matrix, label)[:2] for label in range(3)]

    assert [round(100 * specificity, 1) for _, specificity in rates] == [98.4, 83.9, 84.6]
    assert [round(100 * sensitivity, 1) for sensitivity, _ in rates] == [98.1, 68.8, 72.3]


scored = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=4, max_size=60).filter(
    lambda pairs: len({positive for positive, _ in pairs}) == 2
)


@given(scored)
def test_two_classes_agree_with_scikit_learn(pairs):
    labels = np.array([int(positive) for positive, _ in pairs])
    score = np.array([step / 8 for _, step in pairs])
    scores = np.stack([1 - score, score], axis=1)
    predicted = (score > 0.5).astype(int)  # a tie goes to the first class

    metrics = measure(labels, scores, positive=1)

    assert metrics.auc == pytest.approx(roc_auc_score(labels, score))
    assert metrics.sensitivity == pytest.approx(recall_score(labels, predicted))
    assert metrics.specificity == pytest.approx(recall_score(labels, predicted, pos_label=0))
    assert metrics.balanced_accuracy == pytest.approx(recall_score(labels, predicted, average="macro"))
    if metrics.f1 is not None:
        assert metrics.f1 == pytest.approx(f1_score(labels, predicted, zero_division=0))


def test_a_rate_without_cases_is_none_and_not_a_number_that_looks_right():
    labels = np.zeros(3, int)
    scores = np.array([[0.9, 0.1]] * 3)

    metrics = measure(labels, scores, positive=1)

    assert metrics.sensitivity is None
    assert metrics.specificity == 1.0
    assert metrics.auc is None
    assert metrics.balanced_accuracy is None


def test_tied_scores_count_half():
    assert auc(np.array([True, False]), np.array([0.5, 0.5])) == 0.5


def test_confusion_rows_are_the_true_classes():
    assert confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist() == [[1, 1], [0, 1]]


def test_every_class_has_its_own_row():
    labels, scores = predictions(FRID_ADAR_GAN)

    rows = per_class(labels, scores)

    assert [row.n for row in rows] == [53, 64, 65]
    assert [round(100 * row.sensitivity, 1) for row in rows] == [100.0, 81.2, 78.5]
