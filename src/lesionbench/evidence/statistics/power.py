"""Power: the smallest difference that McNemar's test would detect.

Two arms are compared on the same n images. The discordance is the share of them on which exactly one arm is right; a
difference in rates cannot be larger than it. Normal approximation of Connor (1987), two-sided.
"""

from __future__ import annotations

import math
from numbers import Real
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import SettingsError, Try

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.statistics.scores import ArmScores

ALPHA = 0.05
POWER = 0.80


def smallest_difference(images: int, discordance: float) -> float | None:
    """The smallest difference in a rate that McNemar's test detects on `images` images with 80% power (Connor 1987).

    It solves images = (z_level sqrt(discordance) + z_power sqrt(discordance - difference^2))^2 / difference^2.
    None if not even a difference as large as the discordance would be detected. Raises SettingsError unless
    0 < discordance <= 1.
    """
    check_discordance(discordance)
    of_level, of_power = (NormalDist().inv_cdf(quantile) for quantile in (1 - ALPHA / 2, POWER))
    rest = images + of_power**2 - of_level**2
    if images < 1 or rest < 0:
        return None
    root = of_level * math.sqrt(images) + of_power * math.sqrt(rest)
    found = math.sqrt(discordance) * root / (images + of_power**2)
    return found if found <= discordance else None


def check_discordance(discordance: float) -> None:
    """Raise SettingsError unless it is a share of images: more than 0, at most 1."""
    if isinstance(discordance, bool) or not isinstance(discordance, Real) or not 0 < discordance <= 1:
        raise SettingsError(
            f"a discordance is the share of images on which exactly one of two arms is right, in (0, 1], "
            f"not {discordance!r:.80}",
            Try("try {discordance}", discordance=0.15),
        )


def observed_discordance(arm: ArmScores, baseline: ArmScores) -> dict[str, float]:
    """The share of images on which exactly one of two arms is right, the mean over the repeats of both arms.

    Two classes: `sensitivity` (positive images), `specificity` (the others) and `accuracy` (all). Three or more:
    `sensitivity of CLASS` for each class, and `accuracy`. A class without test images is left out; if the arms share
    no repeat, the result is empty.
    """
    both = [repeat for repeat in arm.repeats if repeat in baseline.repeats]
    if not both:
        return {}
    discordant = (arm.of_repeats(both).right() != baseline.of_repeats(both).right()).mean(axis=0)  # (N,)
    sides = {name: arm.labels == label for label, name in enumerate(side_names(arm.classes, arm.positive))}
    sides["accuracy"] = np.ones(len(arm.labels), bool)
    return {name: float(discordant[of_side].mean()) for name, of_side in sides.items() if of_side.any()}


def side_names(classes: Sequence[str], positive: int | None) -> list[str]:
    """The name of the rate of right answers for each class's images, in the order of the classes."""
    if positive is None:
        return [f"sensitivity of {name}" for name in classes]
    return ["sensitivity" if label == positive else "specificity" for label in range(len(classes))]
