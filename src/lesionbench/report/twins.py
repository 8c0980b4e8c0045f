"""The twins of a split in words and as sections of a picture."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.leakage import ALL, TRAINED_ON, label_conflicts, twin_rows
from lesionbench.evidence.images.thumbnails import SYMMETRY_NAMES, symmetry
from lesionbench.pictures.pairs import PicturedPair
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.pipeline.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.images.leakage import Leaks, Pair
    from lesionbench.pipeline.leaderboard import Row

SHOWN = 24  # pairs of a section of the picture, at most


def summary(leaks: Leaks, near: float) -> list[str]:
    """What was found, a line a fact; the last line is the verdict."""
    rows = twin_rows(leaks)
    return [
        "images with a twin in another part",
        *_table(rows),
        *_asides(leaks),
        _verdict(leaks, [row for row in rows if row["class"] == ALL], near),
    ]


def _table(rows: Sequence[Row]) -> list[str]:
    headings: dict[str, object] = {
        "part": "part",
        "class": "class",
        "images": "images",
        "shared_group": "same group",
        "exact": "same pixels",
        "near": "nearly the same",
        "any": "any of these",
    }
    lines: list[Row] = [headings, *rows]
    columns = [[str(line[key]) for line in lines] for key in headings]
    widths = [max(map(len, column)) for column in columns]
    texts = ("part", "class")
    padded = [
        [text.ljust(width) if key in texts else text.rjust(width) for text in column]
        for key, column, width in zip(headings, columns, widths, strict=True)
    ]
    return ["  " + "  ".join(cells) for cells in zip(*padded, strict=True)]


def _asides(leaks: Leaks) -> list[str]:
    """What else a user must know: copies within a part, labels that contradict each other, unknown groups."""
    divided = leaks.divided
    lines = []
    within = Counter(
        str(divided.parts[pair.a]) for pair in leaks.pairs if divided.parts[pair.a] == divided.parts[pair.b]
    )
    lines += [f"within {part}: {_count(count, 'pair')} of the same pixels" for part, count in sorted(within.items())]
    conflicts = label_conflicts(leaks)
    if conflicts:
        a, b = conflicts[0].a, conflicts[0].b
        lines.append(
            f"label conflict: {_count(len(conflicts), 'pair')} of the same or nearly the same picture with two labels, "
            f"such as {divided.ids[a]} ({divided.labels[a]}) and {divided.ids[b]} ({divided.labels[b]})"
        )
    if not divided.groups.astype(bool).all():
        count = int((~divided.groups.astype(bool)).sum())
        lines.append(f"groups: not known of {count} of {len(divided.groups)} images, so only pixels can tell of these")
    return lines


def _verdict(leaks: Leaks, totals: Sequence[Row], near: float) -> str:
    leaking = [row for row in totals if row["any"]]
    if not leaks.any_twin.any():
        return f"no leak found; pictures of one thing that are less alike than {near:g} would not be seen"
    if any(name.lower() in TRAINED_ON for name in leaks.divided.parts.tolist()):
        found = " and ".join(f"{row['any']} of {row['images']} {row['part']} images" for row in leaking)
    else:
        found = f"{int(leaks.any_twin.sum())} of {len(leaks.any_twin)} images"
    return f"this split leaks: {found} have a twin in another part"


def picture_sections(leaks: Leaks) -> dict[str, list[PicturedPair]]:
    """The pairs to look at: across parts the doubtful, the sure and those that only share a group; then copies."""
    near = leaks.across("near")
    doubtful = near[-SHOWN:][::-1]
    sure = [*leaks.across("exact"), *near[: len(near) - len(doubtful)]][:SHOWN]
    parts = leaks.divided.parts
    within = [pair for pair in leaks.pairs if parts[pair.a] == parts[pair.b]]
    sections = {
        "nearly the same in two parts, the most doubtful first": doubtful,
        "the same or nearly the same in two parts, the surest first": sure,
        "of one group in two parts, but not seen to be alike": leaks.across("shared group")[:SHOWN],
        "the same pixels twice in one part": within[:SHOWN],
    }
    return {heading: [_pictured(leaks, pair) for pair in pairs] for heading, pairs in sections.items()}


def _pictured(leaks: Leaks, pair: Pair) -> PicturedPair:
    divided = leaks.divided
    left = symmetry(divided.images[[pair.a]].astype(np.float32), pair.symmetry)[0].astype(np.uint8)
    similar = "same group" if pair.similarity is None else f"{pair.similarity:.3f} {SYMMETRY_NAMES[pair.symmetry]}"
    labels = [str(divided.labels[position]) for position in (pair.a, pair.b)]
    conflict = all(labels) and labels[0] != labels[1]
    names = [
        f"{divided.parts[position]} {label} {divided.ids[position]}".replace("  ", " ")
        for position, label in zip((pair.a, pair.b), labels, strict=True)
    ]
    return PicturedPair(left, divided.images[pair.b], (similar, names[0], names[1]), conflict)


def without_twins_lines(rows: Sequence[Row]) -> list[str]:
    """The leaderboard without twins on the screen, in percent: all images, those without a twin, and the difference."""
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
