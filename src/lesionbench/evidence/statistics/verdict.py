"""The verdict on a difference: helps, harms, no difference, or cannot tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scipy.special import stdtrit

from lesionbench.evidence.statistics.power import ALPHA, POWER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.statistics.two_way import TwoWay

Verdict = Literal["helps", "harms", "no difference", "cannot tell"]

RULE_OF_THREE = 3.0  # an event that none of n patients had has a rate below 3/n (Hanley, Lippman-Hand 1983)


@dataclass(frozen=True)
class Judged:
    """A verdict, its reason, and how many test groups a clear verdict would need (None if no number would do)."""

    verdict: Verdict
    reason: str
    groups_needed: int | None = None


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for multiple comparisons (Holm 1979)."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, alpha=ALPHA, method="holm")[1]]


def judge(difference: TwoWay, adjusted_p: float, margin: float) -> Judged:
    """The verdict on a difference from the baseline, with its p-value adjusted for the number of arms.

    The rules, in this order. Without repeated fits: cannot tell. With the 95% interval inside plus or minus the margin
    (two one-sided tests at 2.5% each, Schuirmann 1987) and enough patients: no difference. With a significant
    difference: helps or harms. Otherwise: cannot tell.
    """
    if difference.training is None:
        return Judged("cannot tell", "one fit an arm: the luck of training is unknown; run --seeds 3 or more")
    if difference.p_beyond(margin) < ALPHA / 2:
        if difference.groups < RULE_OF_THREE / margin:
            return _too_few(margin)
        real = ", though not by chance" if adjusted_p < ALPHA else ""
        return Judged("no difference", f"smaller than the margin of {margin:g}{real}")
    if adjusted_p < ALPHA:
        return Judged("helps" if difference.estimate > 0 else "harms", f"p {shown_p(adjusted_p)} after Holm")
    return _cannot_tell(difference, adjusted_p, margin)


def _too_few(margin: float) -> Judged:
    needed = math.ceil(RULE_OF_THREE / margin)
    why = f"{needed} test patients are needed: among fewer, what happens to one in {round(1 / margin)} may not be seen"
    return Judged("cannot tell", why, groups_needed=needed)


def shown_p(p_value: float) -> str:
    """A p-value as text for a sentence, never 0."""
    return "below 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def _cannot_tell(difference: TwoWay, adjusted_p: float, margin: float) -> Judged:
    needed = groups_needed(difference, margin)
    if needed is None:
        return Judged(
            "cannot tell",
            f"training varies too much for a difference of {margin:g} to be seen with any number of test patients; "
            "run more --seeds",
        )
    if needed <= difference.groups:
        why = f"p {shown_p(adjusted_p)} after Holm, and the interval reaches beyond the margin of {margin:g}"
        return Judged("cannot tell", why)
    return Judged(
        "cannot tell", f"{needed} test patients would be needed to see a difference of {margin:g}", groups_needed=needed
    )


def groups_needed(difference: TwoWay, margin: float) -> int | None:
    """How many test groups would show a difference of the margin with 80% power; None if training varies too much.

    More test groups reduce only the patients' part of the variance.
    """
    tails = (ALPHA / 2, 1 - POWER)
    of_patients, of_training = (
        sum(-float(stdtrit(degrees, tail)) for tail in tails) ** 2
        for degrees in (max(difference.groups - 1, 1), difference.degrees)
    )
    allowed = margin**2 - of_training * (difference.training or 0.0)
    if allowed <= 0:
        return None
    return math.ceil(difference.groups * of_patients * difference.patients / allowed)


def tie_groups(order: Sequence[int], differ: Sequence[Sequence[bool]]) -> list[str]:
    """A text of letters for each arm; arms that share a letter do not differ (compact letter display, Piepho 2004).

    order: the arms' positions, the best first.  differ: whether two arms differ, (A, A).
    """
    columns: list[set[int]] = [set(order)]
    for place, one in enumerate(order):
        for other in order[place + 1 :]:
            if differ[one][other]:
                columns = _split(columns, one, other)
    columns.sort(key=lambda column: [place for place, arm in enumerate(order) if arm in column])
    letters = [""] * len(order)
    for number, column in enumerate(columns):
        for arm in column:
            letters[arm] += _letter(number)
    return letters


def _split(columns: list[set[int]], one: int, other: int) -> list[set[int]]:
    """The columns, split so that none contains both arms, without columns contained in another."""
    parted: list[set[int]] = []
    for column in columns:
        parted += [column - {one}, column - {other}] if {one, other} <= column else [column]
    return [
        column
        for place, column in enumerate(parted)
        if not any(
            column < wider or (column == wider and earlier < place)
            for earlier, wider in enumerate(parted)
            if earlier != place
        )
    ]


def _letter(number: int) -> str:
    """a..z, then A..Z, then letters with a number."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[number % 52] + (str(number // 52) if number >= 52 else "")
