"""Whether synthetic images are copies of the training images: distances set beside those of held-out real images.

An image is compared as its thumbnail (at most 32 x 32) under all eight flips and turns, with the images of every
class: a copy with the wrong label is still a copy. What a chain's later link learnt from the draws of the links before
it is compared with the real training images alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.memorisation_measures import (
    EXACT,
    CopyThreshold,
    adversarial_accuracy,
    authentic,
    copy_threshold,
    membership_advantage,
    membership_auc,
    membership_tpr,
    nearest_ratio,
)
from lesionbench.evidence.images.nearest import Nearest, nearest, nearest_both, nearest_other
from lesionbench.evidence.images.thumbnails import thumbnails

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lesionbench.evidence.images.memorisation_measures import Distances, Marks
    from lesionbench.evidence.images.nearest import Squares
    from lesionbench.pipeline.images import LabelledImages, Labels
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.pipeline.training_set import Pool

SIDE = 32  # of the thumbnails, unless the images are smaller
ALL = "all"
FALSE_ALARMS = 0.01
MEASURES = (
    "n",
    "n_train",
    "n_held_out",
    "distance_min",
    "distance_1pct",
    "distance_median",
    "real_distance_min",
    "real_distance_1pct",
    "real_distance_median",
    "copy_threshold",
    "copies",
    "copies_share",
    "exact_copies",
    "real_copies_share",
    "authenticity",
    "real_authenticity",
    "nn_ratio",
    "real_nn_ratio",
    "share_closer_to_train",
    "nnaa",
    "membership_auc",
    "membership_tpr",
    "membership_advantage",
)
MEMORISATION_COLUMNS = ("pool", "augmenter", "fold", "seed", "class", *MEASURES, "reason")


@dataclass(frozen=True, eq=False)
class RealImages:
    """One fold's real images and the distances among them, the same for all its pools.

    train, held_out: thumbnails.  to_other: from each training image to the nearest other one.
    to_train: from each held-out image to the nearest training image.
    """

    classes: tuple[str, ...]
    train: Squares
    train_labels: Labels
    held_out: Squares
    held_out_labels: Labels
    to_other: Nearest
    to_train: Nearest
    threshold: CopyThreshold

    @classmethod
    def of(cls, train: LabelledImages, held_out: LabelledImages, false_alarms: float = FALSE_ALARMS) -> RealImages:
        """Measure a fold's training images and real images that no augmenter saw."""
        side = min(SIDE, *train.shape[:2])
        squares, others = thumbnails(train.images, side), thumbnails(held_out.images, side)
        to_train = nearest(others, squares, seconds=True)
        return cls(
            train.classes,
            squares,
            train.labels,
            others,
            held_out.labels,
            nearest_other(squares),
            to_train,
            copy_threshold(to_train.distance, false_alarms),
        )


@dataclass(frozen=True, eq=False)
class PoolAudit:
    """What was found about a pool's S images, class after class.

    to_train: the nearest training image of each.  copies: bool (S,).
    rows: one a class and one for all of them, with "class", the MEASURES and "reason".
    """

    labels: Labels
    to_train: Nearest
    copies: Marks
    rows: list[Row]

    def copies_of_class(self, label: int) -> Marks:
        """Which of the images of one class are copies, in the order of their drawing."""
        of_class: Marks = self.copies[self.labels == label]
        return of_class


def audit_pool(pool: Pool, real: RealImages, seed: int) -> PoolAudit:
    """Measure a pool; what is drawn to compare sets of one size is drawn with `seed`."""
    labels = np.repeat(np.arange(len(pool.images), dtype=np.int64), [len(images) for images in pool.images])
    squares = thumbnails(np.concatenate(pool.images), real.train.shape[1])
    to_train, from_train = nearest_both(squares, real.train, seconds=True)
    copies = real.threshold.copies(to_train.distance)
    measured = _Measured(
        real,
        labels,
        to_train,
        copies,
        from_train.distance,
        nearest(real.held_out, squares).distance,
        _closer_to_train(squares, real, np.random.default_rng([seed, 0])),
        _Adversary.of(squares, labels, real, np.random.default_rng([seed, 1])),
    )
    names = [*real.classes, ALL]
    return PoolAudit(labels, to_train, copies, [measured.row(name, label) for label, name in enumerate(names)])


def _closer_to_train(squares: Squares, real: RealImages, generator: Generator) -> Distances | None:
    """1 for an image nearer to a training image than to a held-out one, 0 for the reverse, .5 when as near; (S,).

    The larger set would lie nearer by its size alone, so both are drawn down to as many images of each class as the
    smaller one has. None when that leaves none.
    """
    chosen, held_out = equal_draws(real.train_labels, real.held_out_labels, generator)
    if not len(chosen):
        return None
    apart = nearest(squares, real.held_out[held_out]).distance - nearest(squares, real.train[chosen]).distance
    closer: Distances = 0.5 + 0.5 * np.sign(apart)
    return closer


def equal_draws(one: Labels, other: Labels, generator: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions in each of the two, drawn at random: of every class as many as the smaller of the two has."""
    chosen: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    for label in np.union1d(one, other):
        members = [np.flatnonzero(labels == label) for labels in (one, other)]
        count = min(map(len, members))
        for positions, own in zip(chosen, members, strict=True):
            positions.append(np.sort(generator.permutation(own)[:count]))
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *chosen[0]]), np.concatenate([empty, *chosen[1]])


@dataclass(frozen=True, eq=False)
class _Adversary:
    """The distances between and within equally many training and synthetic images of each class."""

    train_labels: Labels
    labels: Labels
    train_to_synthetic: Distances
    train_to_train: Distances
    synthetic_to_train: Distances
    synthetic_to_self: Distances

    @classmethod
    def of(cls, squares: Squares, labels: Labels, real: RealImages, generator: Generator) -> _Adversary:
        chosen, drawn = equal_draws(real.train_labels, labels, generator)
        train, synthetic = real.train[chosen], squares[drawn]
        to_synthetic, to_train = nearest_both(train, synthetic)
        return cls(
            real.train_labels[chosen],
            labels[drawn],
            to_synthetic.distance,
            nearest_other(train).distance,
            to_train.distance,
            nearest_other(synthetic).distance,
        )

    def accuracy(self, label: int | None) -> float | None:
        """Of one class, or of all."""
        train, synthetic = _of(self.train_labels, label), _of(self.labels, label)
        return adversarial_accuracy(
            self.train_to_synthetic[train],
            self.train_to_train[train],
            self.synthetic_to_train[synthetic],
            self.synthetic_to_self[synthetic],
        )


@dataclass(frozen=True, eq=False)
class _Measured:
    """Every distance of a pool, from which each class takes its own."""

    real: RealImages
    labels: Labels
    to_train: Nearest
    copies: Marks
    train_to_pool: Distances
    held_out_to_pool: Distances
    closer_to_train: Distances | None
    adversary: _Adversary

    def row(self, name: str, number: int) -> Row:
        """The measures of one class, or of all when `number` is none of the classes."""
        label = number if number < len(self.real.classes) else None
        own = _of(self.labels, label)
        train, held_out = _of(self.real.train_labels, label), _of(self.real.held_out_labels, label)
        counts: Row = {"n": int(own.sum()), "n_train": int(train.sum()), "n_held_out": int(held_out.sum())}
        row: Row = {"class": name, **dict.fromkeys(MEASURES), **counts}
        if not own.any():
            return {**row, "reason": "no synthetic image of this class was drawn"}
        row |= self._of_held_out(held_out) | self._of_pool(own) | self._of_members(train, held_out)
        row["nnaa"] = self.adversary.accuracy(label)
        return {**row, "reason": "; ".join(self._reasons(row)) or None}

    def _of_pool(self, own: Marks) -> Row:
        distance, copies = self.to_train.distance[own], self.copies[own]
        closer = self.closer_to_train
        return {
            **_quantiles("distance", distance),
            "copy_threshold": self.real.threshold.distance,
            "copies": int(copies.sum()),
            "copies_share": float(copies.mean()),
            "exact_copies": int((distance < EXACT).sum()),
            "authenticity": self._authenticity(self.to_train, own),
            "nn_ratio": nearest_ratio(distance, self.to_train.second[own]),
            "share_closer_to_train": None if closer is None else float(closer[own].mean()),
        }

    def _of_held_out(self, held_out: Marks) -> Row:
        if not held_out.any():
            return {}
        distance = self.real.to_train.distance[held_out]
        return {
            **_quantiles("real_distance", distance),
            "real_copies_share": float(self.real.threshold.copies(distance).mean()),
            "real_authenticity": self._authenticity(self.real.to_train, held_out),
            "real_nn_ratio": nearest_ratio(distance, self.real.to_train.second[held_out]),
        }

    def _of_members(self, train: Marks, held_out: Marks) -> Row:
        members, others = self.train_to_pool[train], self.held_out_to_pool[held_out]
        return {
            "membership_auc": membership_auc(members, others),
            "membership_tpr": membership_tpr(members, others),
            "membership_advantage": membership_advantage(members, others),
        }

    def _authenticity(self, found: Nearest, own: Marks) -> float | None:
        to_other = self.real.to_other.distance
        if len(to_other) < 2:
            return None
        return float(authentic(found.distance[own], found.index[own], to_other).mean())

    def _reasons(self, row: Row) -> list[str]:
        """Why a measure is empty, and what is wrong with the threshold."""
        reasons = [self.real.threshold.reason] if self.real.threshold.reason else []
        if row["n_held_out"] == 0:
            reasons.append("no held-out image of this class, so nothing to compare with")
        if row["n_train"] == 0:
            reasons.append("no training image of this class, so no membership inference")
        if len(self.real.train) < 2:
            reasons.append("authenticity and nn_ratio need two training images, there is one")
        elif row["nn_ratio"] is None or (row["n_held_out"] and row["real_nn_ratio"] is None):
            reasons.append("nn_ratio is left out where the two nearest training images are both at distance 0")
        if row["share_closer_to_train"] is None and row["n_held_out"]:
            reasons.append("share_closer_to_train needs a class with training and held-out images")
        if row["nnaa"] is None:
            reasons.append("nnaa needs two training and two synthetic images")
        return reasons


def _quantiles(name: str, distances: Distances) -> Row:
    least, hundredth, median = (float(value) for value in np.quantile(distances, (0, 0.01, 0.5)))
    return {f"{name}_min": least, f"{name}_1pct": hundredth, f"{name}_median": median}


def _of(labels: Labels, label: int | None) -> Marks:
    """The images of one class, or all of them."""
    chosen: Marks = np.ones(len(labels), bool) if label is None else labels == label
    return chosen
