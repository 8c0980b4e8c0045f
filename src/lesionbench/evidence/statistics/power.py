"""Power: the smallest difference that McNemar's test would see, and how many images a difference needs.

Two arms are compared on the same n images. The discordance is the share of them on which exactly one arm is right; a
difference in rates cannot be larger than it. Normal approximation of Connor (1987), two-sided.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.statistics.scores import ArmScores

POWER, LEVEL = 0.80, 0.05


def images_needed(difference: float, discordance: float, power: float = POWER, level: float = LEVEL) -> int:
    """How many images McNemar's test needs to see this difference (Connor 1987):

    n = (z_level sqrt(discordance) + z_power sqrt(discordance - difference^2))^2 / difference^2, rounded up.
    Raises SettingsError unless 0 < |difference| <= discordance <= 1.
    """
    check_discordance(discordance)
    if not 0 < abs(difference) <= discordance:
        raise SettingsError(
            f"a difference must be larger than 0 and at most the discordance, {discordance:g}, not {difference:g}: "
            "arms can differ only on images where exactly one is right"
        )
    of_level, of_power = _quantiles(power, level)
    wanted = of_level * math.sqrt(discordance) + of_power * math.sqrt(discordance - difference**2)
    return math.ceil((wanted / difference) ** 2)


def smallest_difference(images: int, discordance: float, power: float = POWER, level: float = LEVEL) -> float | None:
    """The smallest difference that so many images show with this power; `images_needed` the other way round.

    None when not even a difference as large as the discordance would be seen. Raises SettingsError unless
    0 < discordance <= 1.
    """
    check_discordance(discordance)
    of_level, of_power = _quantiles(power, level)
    rest = images + of_power**2 - of_level**2
    if images < 1 or rest < 0:
        return None
    root = of_level * math.sqrt(images) + of_power * math.sqrt(rest)
    found = math.sqrt(discordance) * root / (images + of_power**2)
    return found if found <= discordance else None


def check_discordance(discordance: float) -> None:
    """Raise SettingsError unless it is a share of images: more than 0, at most 1."""
    if not 0 < discordance <= 1:
        raise SettingsError(
            f"a discordance is the share of images on which exactly one of two arms is right, in (0, 1], "
            f"not {discordance:g}; try 0.15"
        )


def _quantiles(power: float, level: float) -> tuple[float, float]:
    if not (0 < level < 1 and 0.5 <= power < 1):
        raise SettingsError(f"power must lie in [0.5, 1) and the level in (0, 1), not {power:g} and {level:g}")
    return NormalDist().inv_cdf(1 - level / 2), NormalDist().inv_cdf(power)


def exact_power(images: int, difference: float, discordance: float, level: float = LEVEL) -> float:
    """The power of the exact McNemar test, every outcome counted; a little less than Connor's formula promises."""
    from scipy.stats import binom

    discordant = np.arange(images + 1)
    few = binom.ppf(level / 2, discordant, 0.5)  # the largest count on one side that is still significant, or one more
    few -= 2 * binom.cdf(few, discordant, 0.5) > level
    of_one = (discordance + difference) / (2 * discordance)  # the chance that a discordant image speaks for one arm
    rejected = binom.cdf(few, discordant, of_one) + binom.sf(discordant - few - 1, discordant, of_one)
    return float((binom.pmf(discordant, images, discordance) * np.where(few >= 0, rejected, 0.0)).sum())


def observed_discordance(arm: ArmScores, baseline: ArmScores) -> dict[str, float]:
    """The share of images on which exactly one of two arms is right, the mean over the repeats that both have.

    Two classes: `sensitivity` (positive images), `specificity` (the others) and `accuracy` (all); three or more:
    `sensitivity of CLASS` for each and `accuracy`. A class without test images, or arms without a common repeat, are
    left out.
    """
    both = [repeat for repeat in arm.repeats if repeat in baseline.repeats]
    if not both:
        return {}
    right = [
        one.scores[[one.repeats.index(repeat) for repeat in both]].argmax(axis=2) == one.labels
        for one in (arm, baseline)
    ]
    discordant = (right[0] != right[1]).mean(axis=0)  # (N,)
    sides = {name: arm.labels == label for label, name in enumerate(side_names(arm.classes, arm.positive))}
    sides["accuracy"] = np.ones(len(arm.labels), bool)
    return {name: float(discordant[there].mean()) for name, there in sides.items() if there.any()}


def side_names(classes: Sequence[str], positive: int | None) -> list[str]:
    """What the rate of each class's own images is called, in the order of the classes."""
    if positive is None:
        return [f"sensitivity of {name}" for name in classes]
    return ["sensitivity" if label == positive else "specificity" for label in range(len(classes))]
