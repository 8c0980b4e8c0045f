"""In words: what differs from the environment of a run, and what came of running it again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lesionbench.pipeline.metrics import METRICS
from lesionbench.report.words import count, wrapped

if TYPE_CHECKING:
    from lesionbench.experiment.environment import Differences
    from lesionbench.runs.reproduce import Reproduced

MOST_NAMED = 10  # cells


def environment_lines(found: Differences) -> list[str]:
    """What differs between the environments, 80 columns wide."""
    lines = []
    for title, differences in (
        ("these differences change what results are made from:", found.deciding),
        ("these only show results, or may round them differently:", found.other),
    ):
        if differences:
            lines += [title, *(line for one in differences for line in wrapped(one, 1))]
    return lines or ["the environment is the same"]


def reproduced_lines(found: Reproduced) -> list[str]:
    """What came of it: the answer in the first line."""
    cells = count(found.compared, "cell")
    if found.is_identical:
        lines = [f"identical: the predictions of {cells}, byte for byte, and the leaderboard"]
    else:
        apart = [other.apart for other in found.others if other.apart is not None]
        scores = f", scores by up to {max(apart):.2g}" if apart else ""
        lines = wrapped(f"{len(found.others)} of {cells} differ{scores}; leaderboard: {_numbers(found.numbers)}")
    for other in found.others[:MOST_NAMED]:
        by = "no predictions here" if other.apart is None else f"scores by up to {other.apart:.2g}"
        lines += wrapped(f"{other.name}: {by}", 1)
    if len(found.others) > MOST_NAMED:
        lines.append(f"  and {count(len(found.others) - MOST_NAMED, 'cell')} more")
    if found.kept:
        kept = f"{count(found.kept, 'cell')} had been run into {found.out} before"
        lines += wrapped(f"{kept}, and nothing of them was run now; for a new run, name a new folder")
    if found.left_out:
        lines.append(f"{count(found.left_out, 'cell')} of the run had no predictions, so they were not compared")
    return lines


def _numbers(apart: dict[str, float]) -> str:
    """The metrics that differ, and how many other columns do."""
    known = [f"{name} by up to {apart[name]:.4f}" for name in METRICS if math.isfinite(apart.get(name, math.inf))]
    others = len(apart) - len(known)
    if others:
        known.append(count(others, "other column"))
    return ", ".join(known) or "the same"
