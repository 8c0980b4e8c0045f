"""Metrics: rates in [0, 1] from labels and scores; None where they are undefined.

Two classes: sensitivity is the recall of the named positive class, specificity the recall of the other.
Three or more: one-versus-rest per class, averaged with the class sizes as weights (Frid-Adar et al. 2018,
Tables I and II), so that sensitivity equals accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Labels, Scores


@dataclass(frozen=True)
class Metrics:
    """Six metrics of one set of predictions, each a fraction in [0, 1], or None where it is undefined."""

    sensitivity: float | None
    specificity: float | None
    balanced_accuracy: float | None
    accuracy: float | None
    auc: float | None
    f1: float | None


METRICS = tuple(field.name for field in fields(Metrics))


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest."""

    n: int
    sensitivity: float | None
    specificity: float | None
    auc: float | None
    f1: float | None


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Counts, int64 (K, K): row = true class, column = predicted class."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def predicted_labels(scores: Scores) -> Labels:
    """The class with the highest score of every image, int64 (N,); the first one on a tie."""
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    """The area under the ROC curve: the probability that a positive scores above a negative; ties count half."""
    negatives = np.sort(score[~positive])
    positives = score[positive]
    if not len(negatives) or not len(positives):
        return None
    below = np.searchsorted(negatives, positives, side="left") + np.searchsorted(negatives, positives, side="right")
    return float(below.mean() / 2 / len(negatives))


def one_versus_rest(matrix: NDArray[np.int64], label: int) -> tuple[float | None, float | None, float | None]:
    """Sensitivity, specificity and F1 of one class against the rest, from a confusion matrix."""
    hit = int(matrix[label, label])
    missed = int(matrix[label].sum()) - hit
    alarm = int(matrix[:, label].sum()) - hit
    rest = int(matrix.sum()) - hit - missed - alarm
    return (
        _ratio(hit, hit + missed),
        _ratio(rest, rest + alarm),
        _ratio(2 * hit, 2 * hit + missed + alarm),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def per_class(labels: Labels, scores: Scores) -> list[ClassMetrics]:
    """Every class against the rest, in the order of the classes."""
    matrix = confusion_matrix(labels, predicted_labels(scores), scores.shape[1])
    rows = []
    for label in range(scores.shape[1]):
        sensitivity, specificity, f1 = one_versus_rest(matrix, label)
        area = auc(labels == label, scores[:, label])
        rows.append(ClassMetrics(int(matrix[label].sum()), sensitivity, specificity, area, f1))
    return rows


def measure(labels: Labels, scores: Scores, positive: int | None) -> Metrics:
    """The six metrics; `positive` is the label of the positive class for two classes, None for three or more."""
    matrix = confusion_matrix(labels, predicted_labels(scores), scores.shape[1])
    rows = per_class(labels, scores)
    recalls = [row.sensitivity for row in rows]
    shared = {
        "balanced_accuracy": _mean(recalls, [1] * len(rows)),
        "accuracy": _ratio(int(np.trace(matrix)), int(matrix.sum())),
    }
    if positive is not None:
        row = rows[positive]
        return Metrics(row.sensitivity, row.specificity, auc=row.auc, f1=row.f1, **shared)
    sizes = [row.n for row in rows]
    return Metrics(
        sensitivity=_mean(recalls, sizes),
        specificity=_mean([row.specificity for row in rows], sizes),
        auc=_mean([row.auc for row in rows], sizes),
        f1=_mean([row.f1 for row in rows], sizes),
        **shared,
    )


def _mean(values: list[float | None], weights: list[int]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return float(np.average(known, weights=weights))
