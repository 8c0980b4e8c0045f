"""What `lesionbench plan` says of power: the smallest difference that so many test images would show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError
from lesionbench.evidence.statistics.power import (
    POWER,
    check_discordance,
    observed_discordance,
    side_names,
    smallest_difference,
)
from lesionbench.pipeline.augmenter import BASELINE

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.experiment.prepare import About, Prepared

TYPICAL = (0.1, 0.2, 0.3)  # where nothing is known
SEES = f"McNemar's test sees with {POWER:.0%} power"
ONCE = "in brackets: if each group of images counts once, the cautious bound"
NONE_SEEN = "-: so few images show no difference, for none can be larger than the discordance"
ALL_ALIKE = "no discordance: the two arms were right on the same images, so nothing can be told"


@dataclass(frozen=True)
class Asked:
    """The discordances asked about: typed ones, or those a run had, by arm and then by side."""

    typed: tuple[float, ...] = ()
    observed: dict[str, dict[str, float]] = field(default_factory=dict)
    dataset: str = ""  # of that run


@dataclass(frozen=True)
class Side:
    """The test images that one rate is measured on, and the groups they are of."""

    rate: str
    described: str
    images: int
    groups: int


def ask(discordance: str | None, like: Path | None) -> Asked:
    """What `--discordance` and `--like` ask about; raises SettingsError or OutputError."""
    if like is None:
        return Asked(TYPICAL if discordance is None else tuple(_share(text) for text in discordance.split(",")))
    if discordance is not None:
        raise SettingsError("the discordance comes from --discordance or from --like, but both are given; leave one")
    return _observed(like)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(
            f"--discordance takes shares in (0, 1] with commas between, not {text!r}; try 0.15"
        ) from None
    check_discordance(value)
    return value


def _observed(run: Path) -> Asked:
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
            f"--like needs a run in which the baseline and another arm are done on the same seeds, but {run} has none; "
            "give --discordance 0.15"
        )
    return Asked((), found, results.experiment.dataset)


def _baseline(arm: ArmScores, arms: list[ArmScores]) -> ArmScores | None:
    """The arm of the same classifier without synthetic images, with the same changes on the fly if it was run."""
    plain = [one for one in arms if one.role.is_baseline and one.arm.classifier == arm.arm.classifier]
    plain = [one for one in plain if one is not arm and one.arm.on_the_fly in (BASELINE, arm.arm.on_the_fly)]
    return max(plain, key=lambda one: one.arm.on_the_fly == arm.arm.on_the_fly, default=None)


def power_lines(prepared: Prepared, asked: Asked) -> list[str]:
    """What the experiment's test images would show, at each discordance."""
    sides = _sides(prepared.about)
    if asked.observed:
        return _like_lines(sides, asked, prepared.experiment.dataset)
    if len(asked.typed) == 1:
        return [_sentence(side, asked.typed[0]) for side in sides]
    return _typed_table(sides, asked.typed)


def _sides(about: About) -> list[Side]:
    positive = about.classes.index(about.positive_class) if about.positive_class in about.classes else None
    positive = positive if len(about.classes) == 2 else None
    rates = [*side_names(about.classes, positive), "accuracy"]
    described = [*about.classes, "all"]
    sides = [Side(rate, name, *count) for rate, name, count in zip(rates, described, about.tested, strict=True)]
    return sorted(sides, key=lambda side: side.rate != "sensitivity")


def _sentence(side: Side, discordance: float) -> str:
    of_class = "" if side.described == "all" else f"{side.described} "
    groups = f" ({side.groups} groups)" if side.groups < side.images else ""
    start = f"with {side.images} {of_class}test images{groups} {SEES}"
    found = smallest_difference(side.images, discordance)
    if found is None:
        return (
            f"{start} no difference in {side.rate} at a discordance of {discordance:.3g}: "
            "none can be larger than the discordance"
        )
    line = f"{start} a difference in {side.rate} of {100 * found:.1f} points or more"
    line += f", at a discordance of {discordance:.3g}"
    if not groups:
        return line
    once = smallest_difference(side.groups, discordance)
    return f"{line}; if each group counts once, {'none' if once is None else f'of {100 * once:.1f}'}"


def _typed_table(sides: list[Side], shares: tuple[float, ...]) -> list[str]:
    rows = [["", "images", "groups", *(f"{share:.3g}" for share in shares)]]
    for side in sides:
        points = [_points(side, share) for share in shares]
        rows.append([_named(side), str(side.images), str(side.groups), *points])
    title = f"the smallest difference {SEES}, in points, by the share of images on which exactly one arm is right"
    return [title, *_aligned(rows), *_footnotes(rows)]


def _like_lines(sides: list[Side], asked: Asked, dataset: str) -> list[str]:
    rows = [["arm", "rate", "images", "groups", "discordance", "points"]]
    for arm, observed in asked.observed.items():
        for side in sides:
            share = observed.get(side.rate)
            points = "not known" if share is None else _points(side, share) if share else "none"
            told = "" if share is None else f"{share:.3f}"
            rows.append([arm, _named(side), str(side.images), str(side.groups), told, points])
    lines = [f"the smallest difference {SEES}, in points, at the discordance that each arm had with the baseline"]
    if dataset != asked.dataset:
        lines.append(f"note: that run is of {asked.dataset}, this plan of {dataset}")
    return [*lines, *_aligned(rows), *_footnotes(rows)]


def _named(side: Side) -> str:
    return side.rate if side.described == "all" or side.described in side.rate else f"{side.rate} ({side.described})"


def _points(side: Side, discordance: float) -> str:
    """Points with one decimal, and in brackets those that the groups would show, where they are fewer."""
    shown = [smallest_difference(count, discordance) for count in (side.images, side.groups)]
    texts = ["-" if found is None else f"{100 * found:.1f}" for found in shown]
    return texts[0] if side.groups == side.images else f"{texts[0]} ({texts[1]})"


def _footnotes(rows: list[list[str]]) -> list[str]:
    cells = [cell for row in rows[1:] for cell in row[3:]]
    notes = [ONCE] if any("(" in cell for cell in cells) else []
    notes += [NONE_SEEN] if any(cell.startswith("-") or "(-" in cell for cell in cells) else []
    return notes + ([ALL_ALIKE] if "none" in cells else [])


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = [index for index, cell in enumerate(rows[0]) if cell in ("", "arm", "rate")]
    return [
        "  "
        + "  ".join(
            cell.ljust(widths[index]) if index in text else cell.rjust(widths[index]) for index, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]
