"""Leaks of a split: the same group, the same pixels, or near duplicates in more than one part."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import SplitError
from lesionbench.evidence.images.near_duplicates import near_duplicates
from lesionbench.evidence.images.thumbnails import SYMMETRY_NAMES, inverse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images
    from lesionbench.pipeline.leaderboard import Row

KINDS = ("exact", "near", "shared group")  # the most certain first: a pair is listed once
TRAINED_ON = ("train", "training")  # the parts, in upper or lower case, on which nothing is measured
ALL = "all"
PAIRS_COLUMNS = (
    "kind",
    "part_a",
    "id_a",
    "label_a",
    "group_a",
    "part_b",
    "id_b",
    "label_b",
    "group_b",
    "similarity",
    "symmetry",
    "same_group",
    "across_parts",
)
TWINS_COLUMNS = ("part", "class", "images", "shared_group", "exact", "near", "any")


@dataclass(frozen=True, eq=False)
class Divided:
    """N images and the part that each is in; unknown texts are empty.

    images: uint8 (N, H, W, C), to compare.  digests: one for each decoded image, at its original size.
    parts, ids, labels, groups: (N,) texts.
    Raises SplitError unless there are two parts or more.
    """

    images: Images
    digests: Sequence[str]
    parts: NDArray[np.str_]
    ids: NDArray[np.str_]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]

    def __post_init__(self) -> None:
        names = sorted(set(self.parts.tolist()))
        if len(names) < 2:
            raise SplitError(
                f"a split has two parts or more, but there is only {', '.join(names) or 'none'}; "
                "name at least one other part, such as train and test"
            )

    def tested(self) -> list[str]:
        """The parts on which something is measured: all but the training images, test first."""
        names = sorted(set(self.parts.tolist()), key=_natural)
        names.sort(key=lambda name: not name.lower().startswith("test"))
        return [name for name in names if name.lower() not in TRAINED_ON]


def _natural(name: str) -> tuple[int, str]:
    """A sort key that puts fold 10 after fold 9."""
    return len(name), name


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """The SHA-256, in hex, of decoded pixels and their shape."""
    return sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


@dataclass(frozen=True)
class Pair:
    """Two images by their positions; if one of them is a training image, it is b.

    similarity: 1 for exact duplicates, None for a pair that only shares its group.
    symmetry: the flip or turn from a to b, an index into SYMMETRY_NAMES.
    """

    kind: str
    a: int
    b: int
    similarity: float | None = None
    symmetry: int = 0


@dataclass(frozen=True)
class Leaks:
    """The pairs, the most certain first, and for each kind, which images have a twin in another part."""

    divided: Divided
    pairs: list[Pair]
    twins: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def any_twin(self) -> NDArray[np.bool_]:
        """Which images have a twin of any kind in another part: (N,)."""
        found: NDArray[np.bool_] = np.logical_or.reduce([self.twins[kind] for kind in KINDS])
        return found

    def across(self, *kinds: str) -> list[Pair]:
        """The pairs of these kinds whose images are in different parts."""
        parts = self.divided.parts
        return [pair for pair in self.pairs if pair.kind in kinds and parts[pair.a] != parts[pair.b]]


def find_leaks(divided: Divided, near: float) -> Leaks:
    """All pairs that one of the three rules finds; a pair found by several is listed under the most certain one.

    near: the smallest similarity of near duplicates (`near_duplicates`).
    """
    found: dict[tuple[int, int], Pair] = {}
    twins = {kind: np.zeros(len(divided.parts), np.bool_) for kind in KINDS}
    for pair in (*_exact(divided), *_near(divided, near), *_shared_groups(divided)):
        if divided.parts[pair.a] != divided.parts[pair.b]:
            twins[pair.kind][[pair.a, pair.b]] = True
        found.setdefault((min(pair.a, pair.b), max(pair.a, pair.b)), pair)
    pairs = sorted(found.values(), key=lambda pair: (KINDS.index(pair.kind), -(pair.similarity or 0), pair.a, pair.b))
    return Leaks(divided, pairs, twins)


def _exact(divided: Divided) -> Iterator[Pair]:
    for one, other in _linked(divided.digests, divided.parts, within=True):
        yield Pair("exact", *_tested_first(divided, one, other), 1.0)


def _shared_groups(divided: Divided) -> Iterator[Pair]:
    for one, other in _linked(divided.groups.tolist(), divided.parts, within=False):
        yield Pair("shared group", *_tested_first(divided, one, other))


def _near(divided: Divided, near: float) -> Iterator[Pair]:
    numbers = np.unique(divided.parts, return_inverse=True)[1]
    for pair in near_duplicates(divided.images, numbers.astype(np.int64), near):
        if divided.digests[pair.first] == divided.digests[pair.second]:
            continue
        a, b = _tested_first(divided, pair.first, pair.second)
        turn = pair.symmetry if a == pair.first else inverse(pair.symmetry)
        yield Pair("near", a, b, pair.similarity, turn)


def _tested_first(divided: Divided, one: int, other: int) -> tuple[int, int]:
    one, other = sorted((one, other))
    return (other, one) if divided.parts[one].lower() in TRAINED_ON else (one, other)


def _linked(keys: Iterable[str], parts: NDArray[np.str_], within: bool) -> list[tuple[int, int]]:
    """Each image, paired with the first image of the same key in each other part; with `within`, also in its own part.

    These are not all pairs, because a patient with 100 images in each of two parts would give 10,000. Images with an
    empty key are not paired.
    """
    firsts: dict[str, dict[str, int]] = defaultdict(dict)  # of every key, the first image in each part
    members: dict[str, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        if key:
            firsts[key].setdefault(str(parts[position]), position)
            members[key].append(position)
    links = {
        (min(position, first), max(position, first))
        for key, positions in members.items()
        for position in positions
        for part, first in firsts[key].items()
        if position != first and (within or part != parts[position])
    }
    return sorted(links)


def pair_rows(leaks: Leaks) -> list[Row]:
    """The rows of pairs.csv."""
    return [_row(leaks.divided, pair) for pair in leaks.pairs]


def _row(divided: Divided, pair: Pair) -> Row:
    row: Row = {"kind": pair.kind}
    for side, position in (("a", pair.a), ("b", pair.b)):
        for name, texts in (("part", "parts"), ("id", "ids"), ("label", "labels"), ("group", "groups")):
            row[f"{name}_{side}"] = str(getattr(divided, texts)[position]) or None
    groups = row["group_a"], row["group_b"]
    known = None not in groups
    return {
        **row,
        "similarity": pair.similarity,
        "symmetry": None if pair.similarity is None else SYMMETRY_NAMES[pair.symmetry],
        "same_group": ("yes" if groups[0] == groups[1] else "no") if known else None,
        "across_parts": "yes" if row["part_a"] != row["part_b"] else "no",
    }


def twin_rows(leaks: Leaks) -> list[Row]:
    """The rows of twins.csv: how many images have a twin in another part, for each tested part and each class in it."""
    divided = leaks.divided
    classes = [name for name in sorted(set(divided.labels.tolist())) if name]
    rows = []
    for part in divided.tested():
        here = divided.parts == part
        rows += [_counted(leaks, part, name, here & (divided.labels == name)) for name in classes]
        rows.append(_counted(leaks, part, ALL, here))
    return rows


def _counted(leaks: Leaks, part: str, name: str, chosen: NDArray[np.bool_]) -> Row:
    found = {kind.replace(" ", "_"): int((leaks.twins[kind] & chosen).sum()) for kind in KINDS}
    return {
        "part": part,
        "class": name,
        "images": int(chosen.sum()),
        **found,
        "any": int((leaks.any_twin & chosen).sum()),
    }


def label_conflicts(leaks: Leaks) -> list[Pair]:
    """The exact and near duplicates whose labels differ, in two parts or within one; both labels are known."""
    labels = leaks.divided.labels
    alike = [pair for pair in leaks.pairs if pair.kind != "shared group"]
    return [pair for pair in alike if labels[pair.a] and labels[pair.b] and labels[pair.a] != labels[pair.b]]
