"""How many synthetic images a real one is worth: which dose gains as much as real images that are given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.scores import matched
from lesionbench.evidence.statistics.two_way import difference_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.evidence.statistics.two_way import TwoWay
    from lesionbench.pipeline.leaderboard import Row

EXCHANGE_COLUMNS = (
    "metric",
    "real_per_class",
    "real_gain",
    "real_gain_low",
    "real_gain_high",
    "same_gain_dose",
    "synthetic_gain",
    "largest_dose",
    "real_image_worth",
    "reason",
)


def exchange_rows(arms: Sequence[ArmScores], metric: str) -> list[Row]:
    """One row for each number of real images held back and each augmenter with the same classifier.

    The gain from n real images is `none` minus `real-holdout` at n. The gain from a dose is its arm minus `none`.
    """
    rows: list[Row] = []
    for holdout in arms:
        if holdout.role.makes_images or not holdout.role.holds_back:
            continue
        alike = [one for one in arms if _trained_alike(one, holdout)]
        baseline = next((one for one in alike if one.role.is_baseline), None)
        doses: dict[str, list[ArmScores]] = {}
        for one in alike:
            if not (one.role.is_baseline or one.role.is_control):
                doses.setdefault(one.arm.augmenter, []).append(one)
        rows += [_row(holdout, baseline, of_augmenter, metric) for of_augmenter in doses.values()]
    return rows


def _trained_alike(one: ArmScores, other: ArmScores) -> bool:
    """Whether two arms have the same classifier and the same changes of every batch."""
    return (one.arm.classifier, one.arm.on_the_fly) == (other.arm.classifier, other.arm.on_the_fly)


def _row(holdout: ArmScores, baseline: ArmScores | None, doses: list[ArmScores], metric: str) -> Row:
    images = holdout.arm.synthetic_per_class  # real images of each class that are held back
    row: Row = {**doses[0].arm.row(), **dict.fromkeys(EXCHANGE_COLUMNS), "metric": metric, "real_per_class": images}
    try:
        real = _gain(baseline, holdout, metric)
        gains = {one.arm.synthetic_per_class: _gain(one, baseline, metric) for one in doses}
    except NotKnown as unknown:
        return row | {"reason": str(unknown)}
    low, high = real.interval()
    row |= {"real_gain": real.estimate, "real_gain_low": low, "real_gain_high": high, "largest_dose": max(gains)}
    if real.training is None or low <= 0:
        why = "one fit an arm" if real.training is None else f"{low:+.4f} to {high:+.4f}"
        return row | {
            "reason": f"that {images} real images a class gain anything is not sure ({why}): no exchange rate"
        }
    enough = [dose for dose, gain in sorted(gains.items()) if gain.estimate >= real.estimate]
    if not enough:
        return row | {
            "reason": f"no dose gains as much: a real image is worth more than {max(gains) / images:g} synthetic ones"
        }
    row |= {"same_gain_dose": enough[0], "synthetic_gain": gains[enough[0]].estimate}
    return row | {"real_image_worth": enough[0] / images, "reason": ""}


def _gain(one: ArmScores | None, other: ArmScores | None, metric: str) -> TwoWay:
    """The first arm minus the second; raises NotKnown if one of them is not finished."""
    if one is None or other is None:
        raise NotKnown("the arm none is not done")
    one, other = matched(one, other)
    if not one.repeats:
        raise NotKnown("no seed is done in both arms")
    return difference_of(metric, one, other)
