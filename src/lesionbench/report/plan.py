"""The plan of a run in words: the arms, the cells, the time, and the smallest differences that would show."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from lesionbench.errors import Try, in_python
from lesionbench.evidence.statistics.power import POWER
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.report.words import aligned, count

if TYPE_CHECKING:
    from lesionbench.errors import Write
    from lesionbench.experiment.plan import Plan
    from lesionbench.experiment.plan_power import Detectable, Power, Side
    from lesionbench.pipeline.arm import Arm

SEES = f"McNemar's test sees with {POWER:.0%} power"
ONCE = "in brackets: if each group of images counts once, the cautious bound"
NONE_SEEN = "-: so few images show no difference, for none can be larger than the discordance"
ALL_ALIKE = "no discordance: the two arms were right on the same images, so no smallest difference can be computed"


def plan_lines(plan: Plan, write: Write = in_python) -> list[str]:
    """The plan, a line a fact; `write` writes the settings that it mentions."""
    experiment, about = plan.experiment, plan.about
    sizes = ", ".join(f"{number} {part}" for part, number in about.sizes.items())
    done, to_do = len(plan.cells_done), len(plan.cells_to_do)
    grid = " x ".join(
        (count(len(plan.arms), "arm"), count(about.folds, "fold"), count(experiment.seeds, "seed")),
    )
    return [
        f"dataset {experiment.dataset}, split {about.split} ({sizes}), groups {about.groups}",
        *(f"note: {note}" for note in (*about.notes, *plan.notes)),
        *(f"  {_described(arm)}" for arm in plan.arms),
        f"{grid} = {count(done + to_do, 'cell')}: "
        f"{done} done, {to_do} to do, after {count(len(plan.fits_to_do), 'augmenter fit')}",
        *([_time(plan, write)] if to_do else []),
        f"into {plan.out}",
        *power_lines(plan.power),
    ]


def _described(arm: Arm) -> str:
    changed = "" if arm.on_the_fly == BASELINE else f", {arm.on_the_fly} on the fly"
    return f"{arm.augmenter} {arm.synthetic_per_class} per class{changed}, {arm.classifier}"


def how_long(seconds: float) -> str:
    """The estimated time in words, in hours from two hours on."""
    if seconds < 57:
        return "under a minute"
    return f"about {seconds / 60:.1f} minutes" if seconds < 7200 else f"about {seconds / 3600:.1f} hours"


def _time(plan: Plan, write: Write) -> str:
    known = f"{how_long(plan.seconds)} with {write('jobs', plan.jobs)}"
    words = known if plan.seconds else "time not known yet"
    if plan.experiment.on_the_fly != (BASELINE,):
        words += " (changes on the fly not counted)"
    if plan.never_timed:
        advice = Try("add {measure} to time a few steps, or name a {store} that has run them", measure=True)
        words += f"; this store has no time of {', '.join(plan.never_timed)}: {advice.written(write)}"
    return words


def power_lines(power: Power) -> list[str]:
    """What the test images would show: sentences for one discordance, else a table."""
    if power.dataset_of_run:
        return _of_run(power)
    sides = [list(rows) for _, rows in groupby(power.rows, key=lambda row: row.side)]
    if all(len(rows) == 1 for rows in sides):
        return [_sentence(row) for row in power.rows]
    return _of_assumed(sides)


def _sentence(row: Detectable) -> str:
    side = row.side
    of_class = "" if side.class_name == "all" else f"{side.class_name} "
    groups = f" ({side.groups} groups)" if side.groups < side.images else ""
    start = f"with {side.images} {of_class}test images{groups} {SEES}"
    at = f"at a discordance of {row.discordance:.3g}"
    if row.difference is None:
        return f"{start} no difference in {side.rate} {at}: none can be larger than the discordance"
    line = f"{start} a difference in {side.rate} of {100 * row.difference:.1f} points or more, {at}"
    if not groups:
        return line
    once = row.difference_by_group
    return f"{line}; if each group counts once, {'none' if once is None else f'of {100 * once:.1f}'}"


def _of_assumed(sides: list[list[Detectable]]) -> list[str]:
    rows = [["", "images", "groups", *(f"{row.discordance:.3g}" for row in sides[0])]]
    for found in sides:
        side = found[0].side
        rows.append([_named(side), str(side.images), str(side.groups), *map(_points, found)])
    title = f"the smallest difference {SEES}, in points, by the share of images on which exactly one arm is right"
    return [title, *_table(rows), *_footnotes(rows)]


def _of_run(power: Power) -> list[str]:
    rows = [["arm", "rate", "images", "groups", "discordance", "points"]]
    for row in power.rows:
        shown = "" if row.discordance is None else f"{row.discordance:.3f}"
        rows.append([row.arm, _named(row.side), str(row.side.images), str(row.side.groups), shown, _points(row)])
    lines = [f"the smallest difference {SEES}, in points, at the discordance that each arm had with the baseline"]
    if power.dataset != power.dataset_of_run:
        lines.append(f"note: that run is of {power.dataset_of_run}, this plan of {power.dataset}")
    return [*lines, *_table(rows), *_footnotes(rows)]


def _named(side: Side) -> str:
    return side.rate if side.class_name == "all" or side.class_name in side.rate else f"{side.rate} ({side.class_name})"


def _points(row: Detectable) -> str:
    """Points with one decimal, and in brackets those that the groups would show, where there are fewer of them."""
    if not row.discordance:
        return "not known" if row.discordance is None else "none"
    shown = ["-" if found is None else f"{100 * found:.1f}" for found in (row.difference, row.difference_by_group)]
    return shown[0] if row.side.groups == row.side.images else f"{shown[0]} ({shown[1]})"


def _footnotes(rows: list[list[str]]) -> list[str]:
    cells = [cell for row in rows[1:] for cell in row[3:]]
    notes = [ONCE] if any("(" in cell for cell in cells) else []
    notes += [NONE_SEEN] if any(cell.startswith("-") or "(-" in cell for cell in cells) else []
    return notes + ([ALL_ALIKE] if "none" in cells else [])


def _table(rows: list[list[str]]) -> list[str]:
    return aligned(rows, left=[index for index, cell in enumerate(rows[0]) if cell in ("", "arm", "rate")])
