"""The pairs of a split that are worth looking at, as sections of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.thumbnails import SYMMETRY_NAMES, symmetry
from lesionbench.pictures.pairs import PicturedPair

if TYPE_CHECKING:
    from lesionbench.evidence.images.leakage import Leaks, Pair

SHOWN = 24  # pairs of a section of the picture, at most


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
