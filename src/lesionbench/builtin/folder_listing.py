"""Listing the images in a user's folder, and everything that is wrong with its layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lesionbench.image_files import SUFFIXES, image_paths
from lesionbench.tables import PARTS, VALIDATION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VALIDATION_NOTE = (
    "{count} images called validation are used as training images; validation images are drawn from inside train"
)
UNKNOWN_GROUPS_NOTE = (
    "it is not known which images show the same patient or lesion, so they may stand on both sides of a split; "
    "a table with a group column keeps them apart"
)


@dataclass(frozen=True)
class ListedImage:
    """One image file and its class; `group` and `is_test` are None where they are not known."""

    path: Path
    id: str  # the path relative to the root, with forward slashes
    label: str
    group: str | None = None
    is_test: bool | None = None


@dataclass
class Listing:
    """The listed images, the tables they were listed in, what is wrong, and notes to the user."""

    images: list[ListedImage] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def finished(self) -> Listing:
        """Sort the images by id, and check the classes if nothing else is wrong; returns the listing."""
        self.images.sort(key=lambda image: image.id)
        if not self.problems:
            self.problems += class_problems(self.images)
        if any(image.group is None for image in self.images):
            self.notes.append(UNKNOWN_GROUPS_NOTE)
        return self

    def sources(self) -> list[Path]:
        """Every table and image file, in a fixed order."""
        return [*self.tables, *(image.path for image in self.images)]


def list_tree(root: Path) -> Listing:
    """The images of `root/CLASS`, or of `root/train/CLASS` and `root/test/CLASS`."""
    listing = Listing()
    folders = [path.name for path in _subfolders(root)]
    parts = {name: PARTS[name.lower()] for name in folders if name.lower() in PARTS}
    validation = [name for name in folders if name.lower() in VALIDATION]
    if set(parts.values()) == {"train", "test"}:
        for name, part in parts.items():
            _add_classes(listing, root, root / name, part == "test")
        before = len(listing.images)
        for name in validation:
            _add_classes(listing, root, root / name, is_test=False)
        if validation:
            listing.notes.append(VALIDATION_NOTE.format(count=len(listing.images) - before))
        beside = [name for name in folders if name not in parts and name not in validation]
        if beside:
            listing.notes.append(f"not read, because they stand beside train and test: {', '.join(beside)}")
    elif parts or validation:
        found = ", ".join([*parts, *validation])
        listing.problems.append(
            f"{root}: a split needs both a folder train and a folder test, but there is only {found}; "
            "add the other, or put the class folders straight into the folder"
        )
    else:
        _add_classes(listing, root, root, is_test=None)
        _mention_tables(listing, root)
    return listing.finished()


def _add_classes(listing: Listing, root: Path, parent: Path, is_test: bool | None) -> None:
    """Add the images of every class folder of `parent`."""
    paths = image_paths(parent)
    loose = [path for path in paths if path.parent == parent]
    if not paths:
        ends = ", ".join(sorted(SUFFIXES))
        listing.problems.append(f"{parent}: a folder of images must hold some, but none was found (files in {ends})")
    elif len(loose) == len(paths):
        listing.problems.append(
            f"{parent}: images must lie in class folders (or be named by a table), but all {len(paths)} lie straight "
            "in it; make a folder a class" + _table_hint(root)
        )
    else:
        listing.problems += [f"{path}: lies in no class folder; move it into one or out of {parent}" for path in loose]
        classes = {path.relative_to(parent).parts[0] for path in paths if path.parent != parent}
        listing.problems += [
            f"{folder}: a class folder must hold images, but this one holds none; fill it or remove it"
            for folder in _subfolders(parent)
            if folder.name not in classes
        ]
        for path in paths:
            label = path.relative_to(parent).parts[0]
            listing.images.append(ListedImage(path, path.relative_to(root).as_posix(), label, is_test=is_test))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )


def _mention_tables(listing: Listing, root: Path) -> None:
    if not listing.problems and _table_hint(root):
        listing.notes.append(f"the classes are the folders of {root}{_table_hint(root)}")


def _table_hint(root: Path) -> str:
    tables = sorted(path.name for path in root.glob("*.csv"))
    return f"; to use the table instead, name the dataset 'folder[table={tables[0]}]'" if tables else ""


def class_problems(images: Iterable[ListedImage]) -> list[str]:
    """A line for each problem with the classes: fewer than two, or one without images in train or in test."""
    images = list(images)
    classes = sorted({image.label for image in images})
    if len(classes) < 2:
        return [f"at least two classes are needed, but there is only {', '.join(classes) or 'none'}; add another class"]
    if images[0].is_test is None:
        return []
    sides = {(image.label, image.is_test) for image in images}
    return [
        f"every class needs images in train and in test, but {label!r} has none in {side}"
        for label in classes
        for side, is_test in (("train", False), ("test", True))
        if (label, is_test) not in sides
    ]
