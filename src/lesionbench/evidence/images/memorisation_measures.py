"""What distances to the nearest image say about copying; every function takes plain arrays of distances.

A measure that cannot be computed is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Distances = NDArray[np.float64]  # (N,), infinite where there is no image to be near to
    Marks = NDArray[np.bool_]  # (N,)

EXACT = 1e-3  # grey levels: what shrinking a turned image may round otherwise


@dataclass(frozen=True)
class CopyThreshold:
    """An image nearer to a training image than `distance` counts as its copy; `reason` says what is wrong with it."""

    distance: float
    reason: str | None = None

    def copies(self, distances: Distances) -> Marks:
        """Which of these images are copies; one at distance 0 always is."""
        return (distances < self.distance) | (distances < EXACT)


def copy_threshold(held_out: Distances, false_alarms: float) -> CopyThreshold:
    """The distance that a new real image falls short of with a probability of at most `false_alarms`.

    held_out: from each held-out real image to its nearest training image. The k-th smallest of n such distances is
    undercut by one more real image with probability k / (n + 1), so k is the largest with k / (n + 1) <= false_alarms.
    With too few for k = 1 the smallest is taken, and the reason says which rate that gives.
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
    """Which images are farther from their nearest real image than that one is from its nearest other real image.

    Alaa et al. 2022 (authenticity). distances, index: (N,), of each image's nearest real one.
    to_other: (M,), from each real image to the nearest other one; infinite when there is only one.
    """
    return distances > to_other[index]


def nearest_ratio(distances: Distances, second: Distances) -> float | None:
    """The median of the distance to the nearest divided by that to the second nearest: 1 when neither stands out.

    Images without a second nearest, or whose two nearest are both exact copies, have no ratio.
    """
    known = np.isfinite(second) & (second > 0)
    return float(np.median(distances[known] / second[known])) if known.any() else None


def adversarial_accuracy(
    train_to_synthetic: Distances,
    train_to_train: Distances,
    synthetic_to_train: Distances,
    synthetic_to_self: Distances,
) -> float | None:
    """How well the nearest neighbour tells synthetic from training images, Yale et al. 2020; both sets equally large.

    .5 is ideal; below, synthetic images lie nearer to training images than those to each other: copying; 1 means
    that the two sets lie apart. None when a set has fewer than two images.
    """
    if len(train_to_train) < 2 or len(synthetic_to_self) < 2:
        return None
    of_train = np.mean(train_to_synthetic > train_to_train)
    return float(0.5 * (of_train + np.mean(synthetic_to_train > synthetic_to_self)))


def membership_auc(members: Distances, others: Distances) -> float | None:
    """The AUC of guessing from its loss (or distance) that an image was learnt from: the smaller, the likelier."""
    if not len(members) or not len(others):
        return None
    from sklearn.metrics import roc_auc_score  # slow to import, so only where it is needed

    known = np.concatenate([members, others])
    return float(roc_auc_score(np.arange(len(known)) < len(members), -known))


def membership_tpr(members: Distances, others: Distances, false_positives: float = 0.01) -> float | None:
    """The share of members found when at most this share of the others is taken for members (Carlini et al. 2022)."""
    if not len(members) or not len(others):
        return None
    allowed = int(false_positives * len(others) + 1e-9)
    if allowed >= len(others):
        return 1.0
    return float(np.mean(members < np.sort(others)[allowed]))


def membership_advantage(members: Distances, others: Distances) -> float | None:
    """True minus false positives of taking for a member what is not above the members' mean (Yeom et al. 2018)."""
    if not len(members) or not len(others):
        return None
    threshold = members.mean()
    return float(np.mean(members <= threshold) - np.mean(others <= threshold))
