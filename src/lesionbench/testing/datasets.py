"""What datasets promise; every check takes the folder to load from, or None."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import DatasetError
from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.split import shared_groups
from lesionbench.testing.fixtures import arrays_of, changed_names, kept_for_other_checks, quick
from lesionbench.testing.require import Skipped, require
from lesionbench.testing.watching import Traces, global_state_watched, require_global_state_unchanged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.dataset import Dataset


def load(plugin_class: type[Dataset], root: Path | None) -> LoadedDataset:
    """The dataset, read again; raises Skipped if it needs a folder and none is given."""
    if plugin_class.needs_data and root is None:
        raise Skipped("it reads files, and no folder is given: dataset_checks(root)")
    return quick(plugin_class).load(root.resolve() if root and plugin_class.needs_data else None)


@dataclass(frozen=True)
class WatchedLoad:
    """What `load` returned, and its side effects."""

    data: LoadedDataset
    global_state: list[str]
    traces: Traces


@kept_for_other_checks(maxsize=1)
def watched(plugin_class: type[Dataset], root: Path | None) -> WatchedLoad:
    """One load, watched for every side effect; each check looks at one of them, or at the images."""
    absolute, traces = root.resolve() if root else None, Traces()
    with traces.kept(), global_state_watched() as global_state:
        data = load(plugin_class, absolute)
    return WatchedLoad(data, global_state, traces)


def loaded(plugin_class: type[Dataset], root: Path | None) -> LoadedDataset:
    """The dataset, read once for all checks that only look at it."""
    return watched(plugin_class, root).data


def divided(plugin_class: type[Dataset], root: Path | None) -> tuple[LoadedDataset, NDArray[np.bool_]]:
    """The dataset and its own division; raises Skipped if it has none."""
    data = loaded(plugin_class, root)
    if data.is_test is None:
        raise Skipped("it brings no division into training and test images")
    return data, data.is_test


def check_load_returns_a_loaded_dataset(plugin_class: type[Dataset], root: Path | None) -> None:
    """`load` returns a LoadedDataset; its images have checked their own shapes, dtypes and ids."""
    found = type(loaded(plugin_class, root)).__name__
    require(found == LoadedDataset.__name__, f"load must return a LoadedDataset, not a {found}")


def check_loading_twice_gives_the_same(plugin_class: type[Dataset], root: Path | None) -> None:
    """The images and their order depend on nothing but the files."""
    first, second = loaded(plugin_class, root), load(plugin_class, root)
    differ = changed_names(arrays_of(first.images), arrays_of(second.images))
    require(not differ, f"loading twice must give the same, but {differ} differ; sort the files and seed what is drawn")
    one, other = first.is_test, second.is_test
    same_division = one is other is None or (one is not None and other is not None and np.array_equal(one, other))
    require(same_division, "loading twice must give the same, but is_test differs")


def check_every_class_has_images(plugin_class: type[Dataset], root: Path | None) -> None:
    """No class is empty, and there are at least two."""
    images = loaded(plugin_class, root).images
    require(len(images.classes) >= 2, f"a dataset needs at least two classes, but has {list(images.classes)}")
    empty = [name for label, name in enumerate(images.classes) if not (images.labels == label).any()]
    require(not empty, f"every class needs images, but {', '.join(empty)} has none; leave it out of classes")


def check_the_positive_class_is_one_of_its_classes(plugin_class: type[Dataset], root: Path | None) -> None:
    """The class whose recall is the sensitivity exists."""
    positive = plugin_class.positive_class
    if positive is None:
        raise Skipped("it names no positive class")
    classes = loaded(plugin_class, root).images.classes
    require(positive in classes, f"positive_class must be one of {list(classes)}, not {positive!r}")


def check_its_division_has_every_class_on_both_sides(plugin_class: type[Dataset], root: Path | None) -> None:
    """`is_test` is bool (N,), with training and test images of every class."""
    data, is_test = divided(plugin_class, root)
    found, rule = f"{is_test.dtype} {is_test.shape}", f"bool ({len(data.images)},)"
    require(found == rule, f"is_test must be {rule}, not {found}")
    for label, name in enumerate(data.images.classes):
        sides = set(is_test[data.images.labels == label].tolist())
        require(len(sides) == 2, f"class {name!r} must stand on both sides of is_test, but stands on {len(sides)}")


def check_its_division_keeps_groups_apart(plugin_class: type[Dataset], root: Path | None) -> None:
    """No group has training and test images, unless the dataset says `keep_shared_groups`."""
    data, is_test = divided(plugin_class, root)
    if data.keep_shared_groups:
        raise Skipped("it keeps shared groups, as published")
    shared = shared_groups(data.images.groups[is_test], data.images.groups[~is_test])
    require(
        not shared,
        f"no group may stand on both sides of is_test, but {len(shared)} do; move them, or say keep_shared_groups=True",
    )


def check_good_data_has_no_problems(plugin_class: type[Dataset], root: Path | None) -> None:
    """`problems` finds nothing in data that can be loaded."""
    loaded(plugin_class, root)
    found = quick(plugin_class).problems(root.resolve() if root and plugin_class.needs_data else None)
    require(not found, f"problems must be empty for data that loads, but says: {'; '.join(found[:3])}")


def check_a_missing_or_empty_folder_is_a_dataset_error(plugin_class: type[Dataset], root: Path | None) -> None:
    """A missing folder and an empty one raise DatasetError, which users see as one message without a traceback."""
    del root  # this check creates its own empty folder
    if not plugin_class.needs_data:
        raise Skipped("it reads no files")
    with TemporaryDirectory() as folder:
        for where, what in ((Path(folder, "missing"), "a missing"), (Path(folder), "an empty")):
            try:
                quick(plugin_class).load(where)
            except DatasetError:
                continue
            except Exception as error:  # any other error breaks the promise
                raise AssertionError(f"{what} folder must raise DatasetError, not {type(error).__name__}") from None
            raise AssertionError(f"{what} folder must raise DatasetError, but it was loaded")


def check_load_leaves_global_state_alone(plugin_class: type[Dataset], root: Path | None) -> None:
    """Loading leaves the global state of random, numpy and torch alone: generators, seeds and settings."""
    require_global_state_unchanged("load", watched(plugin_class, root).global_state)


def check_it_prints_nothing_and_writes_nothing(plugin_class: type[Dataset], root: Path | None) -> None:
    """Loading writes nothing to stdout or stderr and leaves no file in the current folder."""
    traces = watched(plugin_class, root).traces
    traces.require_nothing_printed("a dataset")
    traces.require_nothing_written_outside("a dataset")
