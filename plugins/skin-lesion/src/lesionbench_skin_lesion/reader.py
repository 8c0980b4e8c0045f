"""Reading the `skin-lesion` dataset: from the tree on disk to labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lesionbench import DatasetError, LabelledImages, LoadedDataset, Try
from lesionbench.image_files import read_images, unreadable
from lesionbench_skin_lesion.groups import Lesion, read_groups, shared_lesions
from lesionbench_skin_lesion.tree import CLASSES, GROUPS_FILE, find_tree

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench_skin_lesion import SkinLesion
    from lesionbench_skin_lesion.tree import Tree, TreeImage


def load(settings: SkinLesion, root: Path | None) -> LoadedDataset:
    """The images of train and test, uint8 (N, size, size, 3), with the published split; raises DatasetError."""
    tree = find_tree(root)
    lesions = _lesions(settings, tree)
    chosen, notes = list(tree.images), [_unknown_note(tree)]
    known = sorted({lesion.group for lesion in lesions} if lesions is not None else {image.id for image in chosen})
    if lesions is not None:
        chosen, lesions, notes = _with_lesions(settings, tree, lesions)
    names = [lesion.group for lesion in lesions] if lesions is not None else [image.id for image in chosen]
    check = Try("list all of them: lesionbench data check skin-lesion {data}", data=root)
    images = LabelledImages(
        read_images([image.path for image in chosen], settings.size, 3, check),
        np.array([CLASSES.index(image.label) for image in chosen], np.int64),
        np.searchsorted(known, names).astype(np.int64),  # before any is left out: clean and official agree
        np.array([image.id for image in chosen]),
        CLASSES,
    )
    is_test = np.array([image.side == "test" for image in chosen], np.bool_)
    published = lesions is not None and settings.test == "official"
    return LoadedDataset(images, is_test, lesions is not None, published, tuple(notes))


def problems(settings: SkinLesion, root: Path | None) -> list[str]:
    """Everything that is wrong with the tree, `groups.csv` and the image files, one line each."""
    try:
        tree = find_tree(root)
    except DatasetError as error:
        return [str(error)]
    bad = unreadable([image.path for image in tree.images])
    try:
        lesions = _lesions(settings, tree)
        if lesions is not None:
            _with_lesions(settings, tree, lesions)
    except DatasetError as error:
        return [str(error), *bad]
    return bad


def _lesions(settings: SkinLesion, tree: Tree) -> list[Lesion] | None:
    if tree.groups_file is not None:
        return read_groups(tree.groups_file, tree)
    if settings.test == "clean":
        raise DatasetError(
            f"skin-lesion[test=clean] needs {GROUPS_FILE}, which says which test images show a lesion that is also in "
            f"train, but there is none in {tree.root}; put it there, or use skin-lesion"
        )
    return None


def _with_lesions(
    settings: SkinLesion, tree: Tree, lesions: list[Lesion]
) -> tuple[list[TreeImage], list[Lesion], list[str]]:
    """The images that the setting `test` keeps, their lesions, and notes to the user."""
    pairs = list(zip(tree.images, lesions, strict=True))
    if settings.test == "official":
        shared = shared_lesions(tree.images, lesions)
        leaking = sum(image.side == "test" and lesion.group in shared for image, lesion in pairs)
        return list(tree.images), lesions, _leak_note(leaking, sum(image.side == "test" for image in tree.images))
    pairs = [(image, lesion) for image, lesion in pairs if not lesion.has_train_twin]
    kept, kept_lesions = [image for image, _ in pairs], [lesion for _, lesion in pairs]
    if {image.label for image in kept if image.side == "test"} != set(CLASSES):
        raise DatasetError(f"{tree.root}: no clean test image of some class is left; use skin-lesion, or more images")
    left = shared_lesions(kept, kept_lesions)
    if left:
        raise DatasetError(
            f"{tree.groups_file}: test_has_train_twin must be 1 wherever the group is also in train, "
            f"but it is 0 for {len(left)} such groups ({min(left)}); correct the file"
        )
    return kept, kept_lesions, []


def _leak_note(leaking: int, count: int) -> list[str]:
    if not leaking:
        return []
    return [
        f"{leaking} of {count} test images show a lesion that is also in train; skin-lesion[test=clean] leaves them out"
    ]


def _unknown_note(tree: Tree) -> str:
    return (
        f"lesions cannot be kept apart: there is no {GROUPS_FILE} in {tree.root}, "
        "so pictures of one lesion may stand in both train and test"
    )
