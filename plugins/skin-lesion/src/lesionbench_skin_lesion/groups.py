"""Reading `groups.csv`: which images show the same lesion."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from lesionbench import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lesionbench_skin_lesion.tree import Tree, TreeImage

COLUMNS = ("split", "label", "name", "group", "test_has_train_twin")
NAMED = 3


class Lesion(NamedTuple):
    """An image's lesion, and whether it is a test image whose lesion is also in train."""

    group: str
    has_train_twin: bool


def read_groups(file: Path, tree: Tree) -> list[Lesion]:
    """The lesion of every image of the tree, in the tree's order; ignores rows of images that do not exist.

    Raises DatasetError if a column or an image's row is missing, or if a row is incomplete or contradicts another.
    """
    rows = _rows(file)
    missing = [image.id for image in tree.images if image.key not in rows]
    if missing:
        raise DatasetError(
            f"{file} must have a row for every image, but {len(missing)} of {len(tree.images)} have none, such as "
            f"{', '.join(missing[:NAMED])}; add them, or take {file.name} away to go on without lesions"
        )
    return [_lesion(file, image, rows[image.key]) for image in tree.images]


def shared_lesions(images: Iterable[TreeImage], lesions: Iterable[Lesion]) -> set[str]:
    """The groups that are in train and in test."""
    sides: dict[str, set[str]] = {"train": set(), "test": set()}
    for image, lesion in zip(images, lesions, strict=True):
        sides[image.side].add(lesion.group)
    return sides["train"] & sides["test"]


def _rows(file: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, restval="")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(
                    f"{file} must have the columns {', '.join(COLUMNS)}, but {', '.join(missing)} is missing"
                )
            for row in reader:
                key = (row["split"], row["label"], row["name"])
                if rows.setdefault(key, row) != row:
                    raise DatasetError(f"{file} line {reader.line_num}: {'/'.join(key)} has another row that differs")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{file} must be a CSV table in UTF-8, and cannot be read ({error})") from None
    return rows


def _lesion(file: Path, image: TreeImage, row: dict[str, str]) -> Lesion:
    group, twin = row["group"].strip(), row["test_has_train_twin"].strip()
    if not group:
        raise DatasetError(f"{file}: every image needs a group, but {image.id} has none")
    if image.side == "test" and twin not in ("0", "1"):
        raise DatasetError(f"{file}: test_has_train_twin must be 0 or 1 for a test image, not {twin!r} ({image.id})")
    return Lesion(group, image.side == "test" and twin == "1")
