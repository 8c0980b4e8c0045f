"""Reading the `folder` dataset: from a listing of files to labelled images."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.builtin.folder_listing import Listing, list_tree
from lesionbench.builtin.folder_table import list_table
from lesionbench.errors import DatasetError, Try
from lesionbench.image_files import first_of, read_images, unreadable
from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.split import shared_groups
from lesionbench.spelling import spec_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench.builtin.folder import Folder
    from lesionbench.pipeline.images import Images


def load(settings: Folder, root: Path | None) -> LoadedDataset:
    """The images in the folder, in the order of their paths; raises DatasetError."""
    listing = usable_listing(settings, root)
    listed = listing.images
    classes = tuple(sorted({image.label for image in listed}))
    labels = np.array([classes.index(image.label) for image in listed], np.int64)
    groups_known = all(image.group is not None for image in listed)
    names = np.array([image.group if groups_known else image.id for image in listed])
    groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
    ids = np.array([image.id for image in listed])
    is_test = None if listed[0].is_test is None else np.array([image.is_test for image in listed], np.bool_)
    images = LabelledImages(_read(settings, root, listing), labels, groups, ids, classes)
    notes = [*listing.notes, *_shared_note(settings, groups, is_test)]
    return LoadedDataset(images, is_test, groups_known, settings.keep_shared_groups, tuple(notes))


def problems(settings: Folder, root: Path | None) -> list[str]:
    """Everything that is wrong with the layout, the table and the image files, one line each."""
    try:
        listing = list_files(settings, root)
    except DatasetError as error:
        return [str(error)]
    return [*listing.problems, *unreadable([image.path for image in listing.images])]


def usable_listing(settings: Folder, root: Path | None) -> Listing:
    """The listing of the folder; raises DatasetError if anything is wrong with it."""
    listing = list_files(settings, root)
    if len(listing.problems) == 1:
        raise DatasetError(listing.problems[0])
    if listing.problems:
        heading = f"{root} cannot be used, {len(listing.problems)} things are wrong with it"
        raise DatasetError(first_of(listing.problems, heading), _check(settings, root))
    return listing


def list_files(settings: Folder, root: Path | None) -> Listing:
    """The listing of the folder with its problems; raises DatasetError if the folder or the table does not exist."""
    if root is None:
        raise DatasetError(
            "the dataset 'folder' reads your own images", Try("name their folder with {data}", data="DIR")
        )
    if not root.is_dir():
        raise DatasetError(
            f"{root}: the folder of images must exist, and it does not", Try("name it with {data}", data="DIR")
        )
    return list_table(settings, root) if settings.table else list_tree(root)


def _check(settings: Folder, root: Path | None) -> Try:
    return Try(f"list all of them: lesionbench data check {shlex.quote(spec_of(settings))} {{data}}", data=root)


def _read(settings: Folder, root: Path | None, listing: Listing) -> Images:
    """The images of the listing: uint8 (N, size, size, C); `auto` gives one channel if no image has any colour."""
    paths = [image.path for image in listing.images]
    images = read_images(paths, settings.size, 1 if settings.channels == "1" else 3, _check(settings, root))
    if settings.channels == "auto" and (images == images[..., :1]).all():
        return np.ascontiguousarray(images[..., :1])
    return images


def _shared_note(settings: Folder, groups: NDArray[np.int64], is_test: NDArray[np.bool_] | None) -> list[str]:
    if is_test is None or not settings.keep_shared_groups:
        return []
    shared = shared_groups(groups[~is_test], groups[is_test])
    count = int(np.isin(groups[is_test], list(shared)).sum())
    return [f"{count} of {is_test.sum()} test images have a group that is also in train, and are kept"] if count else []
