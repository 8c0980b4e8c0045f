"""The smallest difference that an experiment's test images would show, at the discordances that a plan assumes.

The discordance is the share of the test images on which exactly one of two arms is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError, Try
from lesionbench.evidence.statistics.power import (
    check_discordance,
    observed_discordance,
    side_names,
    smallest_difference,
)
from lesionbench.pipeline.augmenter import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.experiment.prepare import About

TYPICAL = (0.1, 0.2, 0.3)  # assumed where nothing is known


@dataclass(frozen=True)
class PowerRequest:
    """The discordances to plan with: assumed ones, or those that the arms of a finished run had."""

    assumed: tuple[float, ...] = TYPICAL
    observed: dict[str, dict[str, float]] = field(default_factory=dict)  # by arm, then by rate
    dataset: str = ""  # of that run


@dataclass(frozen=True)
class Side:
    """The test images that one rate is measured on, and the groups they are of."""

    rate: str
    class_name: str  # `all` for every class
    images: int
    groups: int


@dataclass(frozen=True)
class Detectable:
    """The smallest difference in one rate that would show, as a share; None where none would."""

    side: Side
    discordance: float | None  # None: not known, and so are the differences
    difference: float | None  # every image counts once
    difference_by_group: float | None  # every group counts once, the cautious bound
    arm: str = ""  # whose discordance it is; empty where it is assumed


@dataclass(frozen=True)
class Power:
    """What the test images can show: a row for each rate and discordance, or for each arm of a run and rate."""

    rows: tuple[Detectable, ...]
    dataset: str
    dataset_of_run: str = ""  # empty where the discordances are assumed


def power_request(discordances: Sequence[float] | None = None, like: Path | None = None) -> PowerRequest:
    """The discordances that are given, those of the run in `like`, or typical ones.

    Raises SettingsError when one is no share or both are given, OutputError when `like` holds no run.
    """
    if like is None:
        for share in discordances or ():
            check_discordance(share)
        return PowerRequest(TYPICAL if discordances is None else tuple(discordances))
    if discordances is not None:
        raise SettingsError(
            "discordances are either assumed or taken from a run, but both are asked for",
            Try("leave out {discordance} or {like}"),
        )
    return _observed(like)


def _observed(run: Path) -> PowerRequest:
    """The discordance of every arm of a run with its baseline."""
    from lesionbench.evidence.statistics.scores import arm_scores
    from lesionbench.experiment.results import read_results

    results = read_results(run)
    done = arm_scores(results.arms())
    found = {}
    for arm in done:
        baseline = _baseline(arm, done)
        sides = observed_discordance(arm, baseline) if baseline is not None else {}
        if sides:
            found[f"{arm.name}, {arm.arm.classifier}"] = sides
    if not found:
        raise SettingsError(
            f"discordances come from a run in which the baseline and another arm are done on the same seeds, "
            f"but {run} has none",
            Try("give {discordance}", discordance=0.15),
        )
    return PowerRequest((), found, results.experiment.dataset)


def _baseline(arm: ArmScores, arms: list[ArmScores]) -> ArmScores | None:
    """The arm of the same classifier without synthetic images, with the same changes on the fly if it was run."""
    plain = [one for one in arms if one.role.is_baseline and one.arm.classifier == arm.arm.classifier]
    plain = [one for one in plain if one is not arm and one.arm.on_the_fly in (BASELINE, arm.arm.on_the_fly)]
    return max(plain, key=lambda one: one.arm.on_the_fly == arm.arm.on_the_fly, default=None)


def power(about: About, dataset: str, request: PowerRequest) -> Power:
    """What the experiment's test images would show, at each discordance."""
    sides = _sides(about)
    if request.observed:
        rows = (
            _detectable(side, of_arm.get(side.rate), arm) for arm, of_arm in request.observed.items() for side in sides
        )
    else:
        rows = (_detectable(side, share) for side in sides for share in request.assumed)
    return Power(tuple(rows), dataset, request.dataset)


def _detectable(side: Side, discordance: float | None, arm: str = "") -> Detectable:
    if not discordance:
        return Detectable(side, discordance, None, None, arm)
    by_image, by_group = (smallest_difference(count, discordance) for count in (side.images, side.groups))
    return Detectable(side, discordance, by_image, by_group, arm)


def _sides(about: About) -> list[Side]:
    positive = about.classes.index(about.positive_class) if about.positive_class in about.classes else None
    positive = positive if len(about.classes) == 2 else None
    rates = [*side_names(about.classes, positive), "accuracy"]
    names = [*about.classes, "all"]
    sides = [Side(rate, name, *count) for rate, name, count in zip(rates, names, about.tested, strict=True)]
    return sorted(sides, key=lambda side: side.rate != "sensitivity")
