"""Whether synthetic images are copies of training images: their distances beside those of held-out real images.

Thumbnails (at most 32 x 32) are compared under all eight flips and turns, and with the images of every class, because
a copy with the wrong label is still a copy. The images of a later link in a chain, which also learned from synthetic
images, are compared with the real training images only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.nearest import Nearest, nearest, nearest_both, nearest_other
from lesionbench.evidence.images.thumbnails import thumbnails

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lesionbench.evidence.images.nearest import Squares
    from lesionbench.pipeline.images import LabelledImages, Labels
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.pipeline.training_set import Pool

    Distances = NDArray[np.float64]  # (N,), infinite if there is no image to compare with
    Marks = NDArray[np.bool_]  # (N,)

SIDE = 32  # of the thumbnails, unless the images are smaller
ALL = "all"
EXACT = 1e-3  # gray levels: the rounding error from shrinking a turned image
FALSE_ALARMS = 0.01  # how often a new real image may be called a copy
FALSE_POSITIVES = 0.01  # of membership_tpr
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


@dataclass(frozen=True)
class CopyThreshold:
    """An image closer to a training image than `distance` counts as a copy; `reason` says what limits the threshold."""

    distance: float
    reason: str | None = None

    def copies(self, distances: Distances) -> Marks:
        """Which of these images are copies; an image at distance 0 always is."""
        return (distances < self.distance) | (distances < EXACT)


def copy_threshold(held_out: Distances, false_alarms: float) -> CopyThreshold:
    """The distance below which a new real image lies with a probability of at most `false_alarms`.

    held_out: the distance of each held-out real image to its nearest training image. Another real image is below the
    k-th smallest of n such distances with probability k / (n + 1), so k is the largest number with
    k / (n + 1) <= false_alarms. If n is too small for k = 1, the smallest distance is used, and the reason gives its
    rate.
    """
    count = len(held_out)
    if not count:
        return CopyThreshold(0.0, "no held-out image to calibrate on, so only exact copies count")
    rank = int(false_alarms * (count + 1) + 1e-9)
    distance = float(np.sort(held_out)[max(rank, 1) - 1])
    if distance < EXACT:
        same = int((held_out < EXACT).sum())
        return CopyThreshold(0.0, f"{same} of {count} held-out images are in training too, so only exact copies count")
    if rank < 1:
        needed = int(np.ceil(1 / false_alarms - 1 - 1e-9))
        return CopyThreshold(
            distance,
            f"a false-alarm rate of {false_alarms:g} needs {needed} held-out images, there are {count}: "
            f"the threshold is their smallest distance, at a rate of {1 / (count + 1):.2g}",
        )
    return CopyThreshold(distance)


def authentic(distances: Distances, index: NDArray[np.int64], to_other: Distances) -> Marks:
    """Which images are farther from their nearest real image than that image is from its own nearest real neighbor.

    Alaa et al. 2022 (authenticity). distances, index: (N,), of the nearest real image of each.
    to_other: (M,), from each real image to the nearest other one; infinite if there is only one.
    """
    return distances > to_other[index]


def nearest_ratio(distances: Distances, second: Distances) -> float | None:
    """The median ratio of the distances to the nearest and the second nearest image: 1 if neither stands out.

    Images without a second nearest image, or with two exact copies, have no ratio.
    """
    known = np.isfinite(second) & (second > 0)
    return float(np.median(distances[known] / second[known])) if known.any() else None


def adversarial_accuracy(
    train_to_synthetic: Distances,
    train_to_train: Distances,
    synthetic_to_train: Distances,
    synthetic_to_self: Distances,
) -> float | None:
    """How well the nearest neighbor tells synthetic from training images (Yale et al. 2020); both sets equally large.

    0.5 is ideal. Below, synthetic images are closer to training images than training images are to each other, which
    means copying. 1 means that the two sets are separate. None if a set has fewer than two images.
    """
    if len(train_to_train) < 2 or len(synthetic_to_self) < 2:
        return None
    of_train = np.mean(train_to_synthetic > train_to_train)
    return float(0.5 * (of_train + np.mean(synthetic_to_train > synthetic_to_self)))


def membership_auc(members: Distances, others: Distances) -> float | None:
    """The AUC of guessing from the loss (or distance) of an image that it was a training image: smaller is likelier."""
    if not len(members) or not len(others):
        return None
    from sklearn.metrics import roc_auc_score  # slow to import

    known = np.concatenate([members, others])
    return float(roc_auc_score(np.arange(len(known)) < len(members), -known))


def membership_tpr(members: Distances, others: Distances, false_positives: float) -> float | None:
    """The share of members found if at most this share of the others is called members (Carlini et al. 2022)."""
    if not len(members) or not len(others):
        return None
    allowed = int(false_positives * len(others) + 1e-9)
    if allowed >= len(others):
        return 1.0
    return float(np.mean(members < np.sort(others)[allowed]))


def membership_advantage(members: Distances, others: Distances) -> float | None:
    """The true minus the false positive rate of the threshold at the members' mean (Yeom et al. 2018)."""
    if not len(members) or not len(others):
        return None
    threshold = members.mean()
    return float(np.mean(members <= threshold) - np.mean(others <= threshold))


@dataclass(frozen=True, eq=False)
class RealImages:
    """One fold's real images and the distances among them, the same for all its pools.

    train, held_out: thumbnails.  to_other: the nearest other training image of each training image.
    to_train: the nearest training image of each held-out image.
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
        """The distances among a fold's training images and its held-out images, which no augmenter has seen."""
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
    """The audit of a pool's S images, class after class.

    to_train: the nearest training image of each.  copies: bool (S,).
    rows: one for each class and one for all of them, with "class", the MEASURES and "reason".
    """

    labels: Labels
    to_train: Nearest
    copies: Marks
    rows: list[Row]

    def copies_of_class(self, label: int) -> Marks:
        """Which images of one class are copies, in the order in which they were drawn."""
        of_class: Marks = self.copies[self.labels == label]
        return of_class


def audit_pool(pool: Pool, real: RealImages, seed: int) -> PoolAudit:
    """The audit of a pool; random subsets, for comparing sets of equal size, are drawn with `seed`."""
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
    """1 for an image closer to a training image than to a held-out one, 0 for the reverse, 0.5 for a tie; (S,).

    A larger set is closer because of its size alone, so random subsets are compared that have the same number of
    images of each class. None if these are empty.
    """
    chosen, held_out = equal_draws(real.train_labels, real.held_out_labels, generator)
    if not len(chosen):
        return None
    apart = nearest(squares, real.held_out[held_out]).distance - nearest(squares, real.train[chosen]).distance
    closer: Distances = 0.5 + 0.5 * np.sign(apart)
    return closer


def equal_draws(one: Labels, other: Labels, generator: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random positions in both, with the same number of each class: the smaller of the two counts."""
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
    """The distances between and within training and synthetic images, with equal numbers of each class."""

    train_labels: Labels
    labels: Labels
    train_to_synthetic: Distances
    train_to_train: Distances
    synthetic_to_train: Distances
    synthetic_to_self: Distances

    @classmethod
    def of(cls, squares: Squares, labels: Labels, real: RealImages, generator: Generator) -> _Adversary:
        of_train, of_pool = equal_draws(real.train_labels, labels, generator)
        train, synthetic = real.train[of_train], squares[of_pool]
        to_synthetic, to_train = nearest_both(train, synthetic)
        return cls(
            real.train_labels[of_train],
            labels[of_pool],
            to_synthetic.distance,
            nearest_other(train).distance,
            to_train.distance,
            nearest_other(synthetic).distance,
        )

    def accuracy(self, label: int | None) -> float | None:
        """The adversarial accuracy of one class, or of all."""
        train, synthetic = _of(self.train_labels, label), _of(self.labels, label)
        return adversarial_accuracy(
            self.train_to_synthetic[train],
            self.train_to_train[train],
            self.synthetic_to_train[synthetic],
            self.synthetic_to_self[synthetic],
        )


@dataclass(frozen=True, eq=False)
class _Measured:
    """All distances of a pool, from which the measures of each class are computed."""

    real: RealImages
    labels: Labels
    to_train: Nearest
    copies: Marks
    train_to_pool: Distances
    held_out_to_pool: Distances
    closer_to_train: Distances | None
    adversary: _Adversary

    def row(self, name: str, number: int) -> Row:
        """The measures of one class, or of all classes if `number` is the number of classes."""
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
            "membership_tpr": membership_tpr(members, others, FALSE_POSITIVES),
            "membership_advantage": membership_advantage(members, others),
        }

    def _authenticity(self, found: Nearest, own: Marks) -> float | None:
        to_other = self.real.to_other.distance
        if len(to_other) < 2:
            return None
        return float(authentic(found.distance[own], found.index[own], to_other).mean())

    def _reasons(self, row: Row) -> list[str]:
        """Why measures are empty, and what limits the threshold."""
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
