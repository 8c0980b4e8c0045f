from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field

from lesionbench import Dataset, DatasetError, LoadedDataset
from lesionbench.testing import Skipped, dataset_checks, tiny_images


def divided():
    """Tiny images whose every third pair is a test image."""
    images = tiny_images()
    return LoadedDataset(images, is_test=images.groups % 3 == 0)


class Made(Dataset):
    """Tiny images: a correct dataset."""

    name: ClassVar[str] = "made"
    needs_data: ClassVar[bool] = False
    positive_class: ClassVar[str | None] = "class-1"

    def load(self, root):
        return divided()


class Read(Dataset):
    """One file of images: a correct dataset that reads."""

    name: ClassVar[str] = "read"
    file: str = Field("images.npy", description="The file in the folder that holds the images.")

    def load(self, root):
        if not (root / self.file).is_file():
            raise DatasetError(f"{root} must hold {self.file}")
        return LoadedDataset(replace(tiny_images(), images=np.load(root / self.file)))


class ReadsWithoutLooking(Read):
    def load(self, root):
        return LoadedDataset(replace(tiny_images(), images=np.load(root / self.file)))


class FindsProblemsInGoodData(Read):
    def problems(self, root):
        return ["images.npy is not an image"]


def changed(name, load=None, **attributes):
    """A Made dataset that loads so instead."""
    loads = {} if load is None else {"load": lambda self, root: load(divided())}
    return type(name, (Made,), loads | attributes | {"__module__": __name__})


def shuffled(data):
    order = np.random.default_rng().permutation(len(data.images))
    return LoadedDataset(data.images.take(order), data.is_test[order])


def with_a_class_more(data):
    return replace(data, images=replace(data.images, classes=(*data.images.classes, "class-2")))


def printed(data):
    print("24 images")
    return data


def reseeded(data):
    np.random.seed(0)
    return data


BROKEN = {
    changed("LoadsInAnyOrder", shuffled): {"loading_twice_gives_the_same"},
    changed("LoadsPlainImages", lambda data: data.images): {
        "load_returns_a_loaded_dataset",
        "loading_twice_gives_the_same",
        "every_class_has_images",
        "the_positive_class_is_one_of_its_classes",
        "its_division_has_every_class_on_both_sides",
        "its_division_keeps_groups_apart",
        "good_data_has_no_problems",  # `problems` names the wrong type
    },
    changed("HasAnEmptyClass", with_a_class_more): {
        "every_class_has_images",
        "its_division_has_every_class_on_both_sides",
    },
    changed("TestsOneClass", lambda data: replace(data, is_test=data.images.labels == 1)): {
        "its_division_has_every_class_on_both_sides"
    },
    changed("SharesGroups", lambda data: replace(data, is_test=np.arange(24) % 2 == 0)): {
        "its_division_keeps_groups_apart"
    },
    changed("Prints", printed): {"it_prints_nothing_and_writes_nothing"},
    changed("ReseedsNumpy", reseeded): {"load_leaves_global_state_alone"},
    changed("MisspellsItsPositiveClass", positive_class="class-l"): {"the_positive_class_is_one_of_its_classes"},
    ReadsWithoutLooking: {"a_missing_or_empty_folder_is_a_dataset_error"},
    FindsProblemsInGoodData: {"good_data_has_no_problems"},
}


@pytest.fixture
def root(tmp_path):
    np.save(tmp_path / "images.npy", tiny_images(seed=5).images)
    return tmp_path


@pytest.mark.parametrize("check", dataset_checks(), ids=lambda check: check.__name__)
def test_a_correct_made_dataset_keeps_the_contract(check):
    check(Made)


def test_a_correct_read_dataset_keeps_the_contract(root, failing):
    assert set() == failing("dataset", Read, root)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_dataset_is_caught_by_the_check_meant_for_it(broken, failing, root):
    assert BROKEN[broken] == failing("dataset", broken, root)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_order_of_the_checks_does_not_matter(broken, failing, root):
    anew = type(broken.__name__, (broken,), {"__module__": __name__})  # nothing of it is kept for other checks

    assert BROKEN[broken] == failing("dataset", anew, root, order=reversed)


def test_shared_groups_that_are_declared_are_no_fault(failing):
    declared = changed("Declared", lambda data: LoadedDataset(data.images, np.arange(24) % 2 == 0, True, True))
    assert set() == failing("dataset", declared)


def test_a_dataset_that_reads_is_skipped_without_a_folder():
    with pytest.raises(Skipped, match=r"no folder is given: dataset_checks\(root\)"):
        next(check for check in dataset_checks() if "every_class" in check.__name__)(Read)
