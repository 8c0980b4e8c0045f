"""Arms made by hand and by chance, for tests of evidence."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from lesionbench.evidence.statistics.scores import ArmScores
from lesionbench.pipeline.arm import ArmKey, Role

ROLES = {
    "none": Role(makes_images=False),
    "noise": Role(is_control=True),
    "shuffled:dcgan": Role(is_control=True),
    "real-holdout": Role(is_control=True, makes_images=False, holds_back=True),
}


def arm_key(augmenter="none", dose=0, positive_class="malignant"):
    """An arm of the made dataset with the classifier `seen`."""
    return ArmKey(
        augmenter=augmenter,
        synthetic_per_class=dose,
        on_the_fly="none",
        classifier="seen",
        dataset="made",
        split="official",
        groups="apart",
        positive_class=positive_class,
    )


def arm(labels, scores, groups=None, folds=None, name="none", dose=0, classes=("benign", "malignant"), seeds=None):
    """An arm of these scores: (N,) of the second of two classes, (R, N) in several repeats, or (R, N, K)."""
    labels = np.asarray(labels, np.int64)
    scores = np.asarray(scores, np.float64)
    if scores.ndim < 3:
        scores = np.atleast_2d(scores)
        scores = np.stack([1 - scores, scores], axis=2)
    count = len(labels)
    positive = 1 if len(classes) == 2 else None
    return ArmScores(
        arm_key(name, dose, positive_class=classes[1] if positive else "each"),
        ROLES.get(name, Role()),
        tuple((seed, 1) for seed in (seeds or range(1, len(scores) + 1))),
        np.array([f"image{number}" for number in range(count)]),
        np.arange(count) if groups is None else np.asarray(groups, np.int64),
        labels,
        np.zeros(count, np.int64) if folds is None else np.asarray(folds, np.int64),
        scores,
        tuple(classes),
        positive,
    )


def of_confusion(matrix, **other):
    """An arm whose confusion matrix this is: rows the true class, columns the predicted one."""
    labels, scores = [], []
    for true, row in enumerate(matrix):
        for predicted, count in enumerate(row):
            labels += [true] * count
            scores += [np.eye(len(matrix))[predicted] * 0.8 + 0.1] * count
    rows = np.array(scores) / np.sum(scores, axis=1, keepdims=True)
    return arm(labels, rows[None], **other)


def world(generator, groups=300, per_group=1, folds=1, repeats=3, effects=(0.0, 0.0), luck=0.2, fold_luck=0.0):
    """Arms in a world whose truth is known: `effects` is how much better each separates the classes than the first.

    A score is an image's own difficulty, which all arms share, an arm's own view of it, the noise of one fit, and how
    well the fit can tell the classes apart: 1.4, the arm's effect, and the luck of its training, of which part is
    shared by arms of one seed and, `fold_luck`, by the seeds of one fold.
    """
    malignant = (generator.random(groups) < 0.45).astype(np.int64)
    malignant[:3], malignant[3:6] = 1, 0
    group = np.repeat(np.arange(groups), generator.integers(1, per_group + 1, groups))
    group = group[np.argsort(group % folds, kind="stable")]
    fold, labels, count = group % folds, malignant[group], len(group)
    difficulty = generator.normal(0, 1, groups)[group] + generator.normal(0, 0.7, count)
    shared = generator.normal(0, luck, (repeats, folds)) * 0.8
    arms = []
    for number, effect in enumerate(effects):
        own = shared + generator.normal(0, luck, (repeats, folds)) * 0.6 + generator.normal(0, fold_luck, folds)
        view = difficulty + generator.normal(0, 0.4, count)
        apart = (1.4 + effect + own)[:, fold] * (labels - 0.5)
        scores = expit(apart + view + generator.normal(0, 0.6, (repeats, count)))
        arms.append(arm(labels, scores, group, fold, "made" if number else "none", number))
    return arms
