from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from lesionbench.builtin.skin_phantom import SkinPhantom
from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.split import divide, splits
from lesionbench.testing import dataset_checks


def small(**settings: int) -> LoadedDataset:
    return SkinPhantom(**{"train": 30, "test": 20, **settings}).load(None)


@pytest.fixture(scope="module")
def default() -> LoadedDataset:
    return SkinPhantom().load(None)


class Few(SkinPhantom):
    """With defaults that take little time."""

    train: int = 60
    test: int = 30


@pytest.mark.parametrize("check", dataset_checks(), ids=lambda check: check.__name__)
def test_skin_phantom_keeps_the_contract(check):
    check(SkinPhantom if check.__module__.endswith("settings") else Few)


def test_the_same_seed_draws_the_same_bytes():
    assert small(seed=3).images.images.tobytes() == small(seed=3).images.images.tobytes()


def test_another_seed_draws_other_images():
    one, other = small(seed=0).images.images, small(seed=1).images.images
    assert not (one == other).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("size", [16, 33, 100, 256])
def test_images_have_the_size_that_is_set(size):
    assert small(size=size, train=2, test=2).images.images.shape == (4, size, size, 3)


@pytest.mark.parametrize(("train", "test"), [(2, 2), (31, 8), (12, 45)])
def test_both_parts_have_exactly_the_numbers_that_are_set(train, test):
    data = small(train=train, test=test)
    assert data.is_test.tolist() == [False] * train + [True] * test


def test_half_of_each_part_is_malignant(default):
    labels = default.images.labels
    assert default.images.classes == ("benign", "malignant")
    assert np.bincount(labels[~default.is_test]).tolist() == [300, 300]
    assert np.bincount(labels[default.is_test]).tolist() == [150, 150]


def test_an_odd_number_has_one_malignant_image_fewer():
    assert np.bincount(small(train=7).images.labels[:7]).tolist() == [4, 3]


def test_no_lesion_stands_in_both_train_and_test(default):
    groups = default.images.groups
    assert not set(groups[default.is_test]) & set(groups[~default.is_test])


def test_a_lesion_has_one_to_three_views_of_one_class(default):
    images = default.images
    _, first, views = np.unique(images.groups, return_index=True, return_counts=True)
    assert set(views) == {1, 2, 3}
    assert {(group, label) for group, label in zip(images.groups, images.labels, strict=True)} == {
        (images.groups[i], images.labels[i]) for i in first
    }


def test_every_image_differs_from_every_other(default):
    assert len({image.tobytes() for image in default.images.images}) == 900


def test_two_views_of_a_lesion_are_nearer_in_colour_than_two_lesions(default):
    colours, groups = default.images.images.mean(axis=(1, 2)), default.images.groups
    order = np.argsort(groups, kind="stable")
    colours, same = colours[order], np.diff(groups[order]) == 0
    apart = np.abs(np.diff(colours, axis=0)).mean(axis=1)
    assert apart[same].mean() < 0.8 * apart[~same].mean()


def test_fewer_images_are_the_beginning_of_more():
    few, many = small(train=11, test=5), small(train=30, test=20)
    expected = np.concatenate([many.images.images[:11], many.images.images[30:35]])
    assert np.array_equal(expected, few.images.images)
    assert few.images.ids.tolist() == [*many.images.ids[:11], *many.images.ids[30:35]]


def test_a_lesion_looks_the_same_at_another_size():
    coarse, fine = (small(size=size, train=6, test=4).images.images for size in (32, 128))
    shrunk = fine.reshape(10, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - coarse).mean() < 6  # of 255: the noise and the skin's texture differ


def test_validation_lesions_can_be_set_aside(default):
    (split,) = splits(default, divide(default, "official", 0.2, 0))
    assert 90 < len(split.validation) < 150


def test_it_is_said_that_the_images_are_drawn(default):
    assert "drawn, not photographed" in default.notes[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 8}, "greater than or equal to 16"),
        ({"size": 512}, "less than or equal to 256"),
        ({"train": 0}, "greater than or equal to 2"),
        ({"test": 1}, "greater than or equal to 2"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"colour": 1}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        SkinPhantom(**settings)


def test_pixels_alone_tell_the_classes_apart_better_than_chance_but_not_well(default):
    pixels = default.images.images.reshape(900, -1) / 127.5 - 1
    labels, test = default.images.labels, default.is_test
    model = LogisticRegression(C=0.001, max_iter=300).fit(pixels[~test], labels[~test])
    assert 0.6 < model.score(pixels[test], labels[test]) < 0.85


def test_mean_brightness_does_not_tell_the_classes_apart(default):
    from sklearn.metrics import roc_auc_score

    brightness = default.images.images.mean(axis=(1, 2, 3))
    assert abs(roc_auc_score(default.images.labels, brightness) - 0.5) < 0.2


def test_the_settings_class_is_imported_without_drawing_anything():
    code = "import sys, lesionbench.builtin.skin_phantom; print('lesionbench.builtin.skin_drawing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
