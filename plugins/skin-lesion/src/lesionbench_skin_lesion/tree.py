"""Finding the tree of images below the given folder, and listing its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench import DatasetError, Try
from lesionbench.image_files import image_paths

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("benign", "malignant")
SIDES = ("train", "test")
GROUPS_FILE = "groups.csv"
DEEPEST = 3  # folders that may be in between, as in skin-lesion/archive/data
LAYOUT = "{train,test}/{benign,malignant}/*"


@dataclass(frozen=True)
class TreeImage:
    """One image file of the tree."""

    path: Path
    id: str  # such as test/benign/12.jpg
    side: str
    label: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Its row in `groups.csv`: split, label and the name without extension."""
        return self.side, self.label, self.path.stem


@dataclass(frozen=True)
class Tree:
    """The images in the order of their ids, and the path of `groups.csv` or None."""

    root: Path
    images: tuple[TreeImage, ...]
    groups_file: Path | None

    def sources(self) -> list[Path]:
        """Every file that is read, in a fixed order."""
        return [*([self.groups_file] if self.groups_file else []), *(image.path for image in self.images)]


ELSEWHERE = Try("name it with {data}", data="DIR")


def find_tree(given: Path | None) -> Tree:
    """The one tree of images in this folder; raises DatasetError if it is missing, incomplete or not unique."""
    if given is None:
        raise DatasetError("the dataset 'skin-lesion' reads images", Try("name their folder with {data}", data="DIR"))
    if not given.is_dir():
        raise DatasetError(
            f"{given}: the folder of the skin-lesion images must exist", Try("name it with {data}", data="DIR")
        )
    root = _root(given)
    missing = [f"{side}/{label}" for side in SIDES for label in CLASSES if not (root / side / label).is_dir()]
    if missing:
        raise DatasetError(f"{root} must hold {LAYOUT}, but {_and(missing)} is missing; unpack the archive again")
    images = [image for side in SIDES for label in CLASSES for image in _images(root, side, label)]
    _refuse_empty(root, images)
    _refuse_twins(root, images)
    beside = (root / GROUPS_FILE, given / GROUPS_FILE)
    groups_file = next((path for path in beside if path.is_file()), None)
    return Tree(root, tuple(sorted(images, key=lambda image: image.id)), groups_file)


def _root(given: Path) -> Path:
    """The shallowest folder with both train and test, or else the shallowest with one of them."""
    level, partial = [given], []
    for _ in range(DEEPEST + 1):
        whole = [folder for folder in level if all((folder / side).is_dir() for side in SIDES)]
        if len(whole) > 1:
            raise DatasetError(
                f"{given} must hold one tree {LAYOUT}, but {_and(whole)} are two", Try("name one with {data}")
            )
        if whole:
            return whole[0]
        partial += [folder for folder in level if any((folder / side).is_dir() for side in SIDES)]
        level = [below for folder in level for below in _subfolders(folder)]
    if partial:
        return partial[0]
    raise DatasetError(f"{given} must hold {LAYOUT}, but there is neither train nor test in it", ELSEWHERE)


def _subfolders(folder: Path) -> list[Path]:
    names = (*SIDES, *CLASSES, "__MACOSX")
    folders = (path for path in folder.iterdir() if path.name not in names and not path.name.startswith("."))
    return sorted(path for path in folders if path.is_dir())


def _images(root: Path, side: str, label: str) -> list[TreeImage]:
    paths = image_paths(root / side / label)
    return [TreeImage(path, path.relative_to(root).as_posix(), side, label) for path in paths]


def _refuse_empty(root: Path, images: list[TreeImage]) -> None:
    found = {(image.side, image.label) for image in images}
    empty = [f"{side}/{label}" for side in SIDES for label in CLASSES if (side, label) not in found]
    if empty:
        raise DatasetError(
            f"{root} must hold images in each of {LAYOUT}, but {_and(empty)} holds none; unpack the archive again"
        )


def _refuse_twins(root: Path, images: list[TreeImage]) -> None:
    seen: dict[tuple[str, str, str], TreeImage] = {}
    for image in images:
        other = seen.setdefault(image.key, image)
        if other is not image:
            raise DatasetError(
                f"{root}: an image may be there once, but {other.id} and {image.id} have one name; remove one of them"
            )


def _and(names: list[str] | list[Path]) -> str:
    return " and ".join(map(str, names))
