"""The scores of every arm on the same images, from which all evidence is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import OutputError
from lesionbench.pipeline.metrics import predicted_labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lesionbench.pipeline.arm import ArmKey, Role
    from lesionbench.pipeline.images import Groups, Labels, Scores
    from lesionbench.pipeline.leaderboard import ArmResult, Repeat
    from lesionbench.pipeline.predictions import Predictions


@dataclass(frozen=True, eq=False)
class ArmScores:
    """One arm's scores of N images, pooled over folds, in R complete repeats. Every arm has the same images.

    repeats: (seed, classifier seed) of each.  ids (N,), groups (N,), labels (N,), folds (N,).
    scores: float64 (R, N, K).  positive: the label of the positive class of two, None with three or more classes.
    """

    arm: ArmKey
    role: Role
    repeats: tuple[Repeat, ...]
    ids: NDArray[np.str_]
    groups: Groups
    labels: Labels
    folds: NDArray[np.int64]
    scores: NDArray[np.float64]
    classes: tuple[str, ...]
    positive: int | None

    @property
    def name(self) -> str:
        """The arm as text, such as `dcgan@480`; the classifier is not in it."""
        return self.arm.name

    def right(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the true one: (R, N)."""
        return np.stack([predicted_labels(scores) == self.labels for scores in self.scores])

    @lru_cache(maxsize=64)  # noqa: B019  # the folds of a curve are asked for three times, a baseline's by every arm
    def of_fold(self, fold: int) -> ArmScores:
        """The same arm on the images of one fold only."""
        chosen = self.folds == fold
        images = {name: getattr(self, name)[chosen] for name in ("ids", "groups", "labels", "folds")}
        return replace(self, **images, scores=self.scores[:, chosen])

    def of_repeats(self, repeats: Iterable[Repeat]) -> ArmScores:
        """The same arm with these repeats only, in the order they have here."""
        wanted = set(repeats)
        chosen = [place for place, repeat in enumerate(self.repeats) if repeat in wanted]
        return replace(self, repeats=tuple(self.repeats[place] for place in chosen), scores=self.scores[chosen])


def matched(one: ArmScores, other: ArmScores) -> tuple[ArmScores, ArmScores]:
    """Both arms with the repeats that both have. In one repeat both classifiers start from the same weights."""
    if one.repeats == other.repeats:
        return one, other
    shared = set(one.repeats) & set(other.repeats)
    return one.of_repeats(shared), other.of_repeats(shared)


def arm_scores(results: Iterable[ArmResult], part: str = "test") -> list[ArmScores]:
    """The scores of every arm that has at least one complete repeat.

    part: `test`, where each image occurs once, or `validation`, where it can occur once in each fold.
    Raises OutputError if two arms were tested on different images, because then nothing is paired.
    """
    found = [scores for result in results if (scores := _of_arm(result, part)) is not None]
    for one in found[1:]:
        if not (np.array_equal(one.ids, found[0].ids) and np.array_equal(one.labels, found[0].labels)):
            raise OutputError(
                f"arms are compared on the same {part} images, but those of {one.name} and {found[0].name} differ: "
                "they come from two experiments; run all doses in one"
            )
    return found


def _of_arm(result: ArmResult, part: str) -> ArmScores | None:
    by_repeat = {repeat: sorted(folds, key=lambda one: one.fold) for repeat, folds in result.complete(part).items()}
    if not by_repeat:
        return None
    first = next(iter(by_repeat.values()))
    classes = first[0].classes
    positive = classes.index(result.arm.positive_class) if len(classes) == 2 else None
    return ArmScores(
        result.arm,
        result.role,
        tuple(by_repeat),
        np.concatenate([fold.ids for fold in first]),
        np.concatenate([fold.groups for fold in first]),
        np.concatenate([fold.labels for fold in first]),
        np.concatenate([np.full(len(fold.ids), fold.fold) for fold in first]),
        np.stack([_scores(folds, first) for folds in by_repeat.values()]),
        classes,
        positive,
    )


def _scores(folds: list[Predictions], like: list[Predictions]) -> Scores:
    if any(not np.array_equal(one.ids, other.ids) for one, other in zip(folds, like, strict=True)):
        raise OutputError("the seeds of an arm were tested on different images; run the experiment again")
    return np.concatenate([fold.scores for fold in folds])
