"""Datasets in words: where their files are, and what was loaded from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.errors import Try, in_python
from lesionbench.experiment.data_folder import NAME_FOLDER, VARIABLE, usual_places
from lesionbench.pipeline.dataset import Dataset
from lesionbench.pipeline.split import group_status, shared_groups, split_mode
from lesionbench.spelling import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.errors import Write
    from lesionbench.pipeline.dataset import LoadedDataset
    from lesionbench.pipeline.plugin import Plugin


def place_line(dataset: type[Plugin], write: Write = in_python) -> str:
    """Where a dataset's files were found, or what to do so that they are."""
    assert issubclass(dataset, Dataset)
    if not dataset.needs_data:
        return "made, needs no data"
    if dataset.reads_any_images:
        return f"your own images: {NAME_FOLDER.written(write)}"
    places = usual_places(dataset.name)
    found = next((place for place in places if place.is_dir()), None)
    if found is not None:
        return str(found)
    named = Try("name its folder with {data}", data="DIR").written(write)
    return f"not found: put it in {' or '.join(map(str, places))}, set {VARIABLE}, or {named}"


def dataset_lines(dataset: Dataset, root: Path | None, data: LoadedDataset, write: Write = in_python) -> list[str]:
    """What was loaded, a line a fact: images, classes, the positive class, groups and notes."""
    images = data.images
    height, width, channels = images.shape
    lines = [
        f"{spec_of(dataset)}  ({root or 'made, needs no data'})",
        f"images   {len(images)}, {height} x {width}, {'grey' if channels == 1 else 'color'}",
        *_class_table(data),
    ]
    if len(images.classes) == 2:
        not_named = Try("not named: add {positive_class}", positive_class="NAME").written(write)
        lines.append(f"positive {dataset.positive_class or not_named}")
    return [*lines, _groups(data, write), *(f"note: {note}" for note in data.notes)]


def _class_table(data: LoadedDataset) -> Iterator[str]:
    images = data.images
    parts = {"images": images.labels}
    if data.is_test is not None:
        parts = {"train": images.labels[~data.is_test], "test": images.labels[data.is_test]}
    width = max(len("total"), *map(len, images.classes))
    yield f"classes  {'':<{width}}" + "".join(f"{part:>8}" for part in parts)
    for label, name in enumerate(images.classes):
        yield f"         {name:<{width}}" + "".join(f"{(labels == label).sum():>8}" for labels in parts.values())
    yield f"         {'total':<{width}}" + "".join(f"{len(labels):>8}" for labels in parts.values())


def _groups(data: LoadedDataset, write: Write) -> str:
    groups = data.images.groups
    status = group_status(data, split_mode(None, data))
    if status == "waived":
        return "groups   waived"
    number = f"{len(set(groups.tolist()))} groups"
    if data.is_test is None:
        return f"groups   {status} in folds, {number}"
    count = len(shared_groups(groups[~data.is_test], groups[data.is_test]))
    line = f"groups   {status} in the official split, {number}"
    if not count:
        return line
    line += f", {count} of them in both train and test"
    refused = f": {write('split', 'official')} is refused; {write('split', 5)} keeps them apart"
    return line if data.keep_shared_groups else line + refused
