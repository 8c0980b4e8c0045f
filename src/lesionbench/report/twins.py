"""The audit of a split in words: what was divided, which images have a twin, and a run's metrics without them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.leakage import ALL, TRAINED_ON, label_conflicts, twin_rows
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.pipeline.metrics import METRICS
from lesionbench.report.words import aligned, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.audit.split import SplitAudit
    from lesionbench.evidence.images.leakage import Divided, Leaks
    from lesionbench.pipeline.leaderboard import Row

HEADINGS = {
    "part": "part",
    "class": "class",
    "images": "images",
    "shared_group": "same group",
    "exact": "same pixels",
    "near": "nearly the same",
    "any": "any of these",
}


def split_lines(audit: SplitAudit) -> list[str]:
    """What was audited and what was found, a line a fact; the verdict, and then the run without the twins."""
    rows = twin_rows(audit.leaks)
    return [
        _heading(audit),
        *(f"note: {note}" for note in audit.notes),
        "images with a twin in another part",
        *aligned([list(HEADINGS.values()), *([str(row[key]) for key in HEADINGS] for row in rows)], left=(0, 1)),
        *_asides(audit.leaks),
        _verdict(audit, [row for row in rows if row["class"] == ALL]),
        *(_without_twins(audit.rows_without_twins) if audit.rows_without_twins else []),
    ]


def _heading(audit: SplitAudit) -> str:
    if audit.mode is None:
        return f"{audit.name}: {_sizes(audit.divided)}"
    _, height, width, channels = audit.divided.images.shape
    shape = f"{height} x {width}, {'grey' if channels == 1 else 'color'}"
    return f"{audit.name}, split {audit.mode}: {_sizes(audit.divided)}, {shape}"


def _sizes(divided: Divided) -> str:
    names, counts = np.unique(divided.parts, return_counts=True)
    return ", ".join(
        f"{number} {name}" if not name[:1].isdigit() else f"{number} in {name}"
        for name, number in zip(names, counts, strict=True)
    )


def _asides(leaks: Leaks) -> list[str]:
    """What else a user must know: copies within a part, labels that contradict each other, unknown groups."""
    divided = leaks.divided
    lines = []
    within = Counter(
        str(divided.parts[pair.a]) for pair in leaks.pairs if divided.parts[pair.a] == divided.parts[pair.b]
    )
    lines += [f"within {part}: {count(number, 'pair')} of the same pixels" for part, number in sorted(within.items())]
    conflicts = label_conflicts(leaks)
    if conflicts:
        a, b = conflicts[0].a, conflicts[0].b
        lines.append(
            f"label conflict: {count(len(conflicts), 'pair')} of the same or nearly the same picture with two labels, "
            f"such as {divided.ids[a]} ({divided.labels[a]}) and {divided.ids[b]} ({divided.labels[b]})"
        )
    if not divided.groups.astype(bool).all():
        number = int((~divided.groups.astype(bool)).sum())
        lines.append(f"groups: not known of {number} of {len(divided.groups)} images: only their pixels are compared")
    return lines


def _verdict(audit: SplitAudit, totals: Sequence[Row]) -> str:
    leaks = audit.leaks
    leaking = [row for row in totals if row["any"]]
    if not audit.is_leaking:
        return f"no leak found; pictures of one thing that are less alike than {audit.near:g} would not be seen"
    if any(name.lower() in TRAINED_ON for name in leaks.divided.parts.tolist()):
        found = " and ".join(f"{row['any']} of {row['images']} {row['part']} images" for row in leaking)
    else:
        found = f"{int(leaks.any_twin.sum())} of {len(leaks.any_twin)} images"
    return f"this split leaks: {found} have a twin in another part"


def _without_twins(rows: Sequence[Row]) -> list[str]:
    """The run's metrics in percent: on all images, on those without a twin, and the difference."""
    lines = ["the run on all test images, then on those without a twin (difference in points)"]
    for row in rows:
        arm = f"{row['augmenter']} {row['synthetic_per_class']}, {row['classifier']}"
        arm += "" if row["on_the_fly"] == BASELINE else f", {row['on_the_fly']} on the fly"
        lines.append(f"  {arm}: {row['n_test']} images, {row['n_test_without_twins']} without a twin")
        lines += [f"    {metric:<17} {_change(row, metric)}" for metric in METRICS]
    return lines


def _change(row: Row, metric: str) -> str:
    before, after, change = (row[f"{metric}{end}"] for end in ("", "_without_twins", "_difference"))
    if not (isinstance(before, float) and isinstance(after, float) and isinstance(change, float)):
        return "not known: a class without images" if row["n_test"] else "not known: no seed is complete"
    return f"{100 * before:6.2f}  {100 * after:6.2f}  ({100 * change:+.2f})"
