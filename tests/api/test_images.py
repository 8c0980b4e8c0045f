"""Datasets from arrays: accepted and turned into labelled images, or refused with one clear message."""

import re

import numpy as np
import pandas as pd
import pytest

import lesionbench
from lesionbench import DatasetError

PIXELS = np.arange(6 * 8 * 8 * 3, dtype=np.uint8).reshape(6, 8, 8, 3)
LABELS = ["b", "a", "b", "a", "b", "a"]


def test_text_labels_become_classes_in_sorted_order():
    made = lesionbench.images(PIXELS, LABELS).data

    assert made.images.classes == ("a", "b")
    assert made.images.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert made.images.ids.tolist()[:2] == ["0000", "0001"]


def test_whole_number_labels_are_sorted_as_numbers():
    assert lesionbench.images(PIXELS, [10, 9, 10, 9, 2, 2]).data.images.classes == ("2", "9", "10")


def test_whole_number_labels_are_positions_in_the_classes_that_are_given():
    made = lesionbench.images(PIXELS, [1, 0, 1, 0, 1, 0], classes=["nevus", "melanoma"]).data

    assert made.images.classes == ("nevus", "melanoma")
    assert made.images.labels.tolist() == [1, 0, 1, 0, 1, 0]


def test_grey_images_may_come_without_channels():
    assert lesionbench.images(PIXELS[..., 0], LABELS).data.images.shape == (8, 8, 1)


def test_series_belong_together_by_position_whatever_their_index():
    labels = pd.Series(LABELS, index=[9, 8, 7, 6, 5, 4], dtype="category")
    groups = pd.Series([3.0, 3.0, 1.0, 1.0, 2.0, 2.0])

    made = lesionbench.images(PIXELS, labels, groups).data

    assert made.images.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert made.images.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert made.groups_known


def test_without_groups_every_image_is_its_own_and_they_count_as_unknown():
    made = lesionbench.images(PIXELS, LABELS).data

    assert made.images.groups.tolist() == list(range(6))
    assert not made.groups_known


def test_what_the_caller_changes_later_changes_nothing():
    pixels = PIXELS.copy()
    made = lesionbench.images(pixels, LABELS)

    pixels[:] = 0

    assert np.array_equal(made.data.images.images, PIXELS)


def test_a_dataset_of_arrays_says_what_is_in_it():
    assert repr(lesionbench.images(PIXELS, LABELS)) == "<6 images, 8x8x3: 3 a, 3 b; groups unknown>"


BAD_IMAGES = {
    "255 * array": PIXELS / 255,
    "scale them to 0..255": PIXELS.astype(np.uint16),
    "transpose(0, 2, 3, 1)": PIXELS.transpose(0, 3, 1, 2),
    "array[..., :3]": np.zeros((6, 8, 8, 4), np.uint8),
    "array[None]": PIXELS[0, ..., 0],
    "different sizes": [PIXELS[0], PIXELS[1, :4]],
    "one image at least": PIXELS[:0],
    "not <U5": "hello",
    "NaN: fill them in": np.full((6, 8, 8), np.nan),
}


@pytest.mark.parametrize("hint", BAD_IMAGES)
def test_images_that_cannot_be_used_are_refused_with_what_to_type(hint):
    with pytest.raises(DatasetError, match=f"images are uint8.*{re.escape(hint)}"):
        lesionbench.images(BAD_IMAGES[hint], LABELS)


BAD_OTHERS = {
    "one for each of the 6 images, but there are 4": {"labels": LABELS[:4]},
    "1 of 6 are missing .* first at position 2": {"labels": ["a", "b", np.nan, "a", "b", "a"]},
    "1 of 6 are missing .* first at position 0": {"labels": ["", "b", "a", "a", "b", "a"]},
    "text or whole numbers, not 0.5": {"labels": [0.5, 1, 0, 1, 0, 1]},
    "text or whole numbers, not inf": {"labels": [np.inf, 1, 0, 1, 0, 1]},
    "text or whole numbers, not 1e\\+300": {"labels": [1e300, 1, 0, 1, 0, 1]},
    "must be a list, a Series": {"labels": 3},
    "must be a list, a Series or an array .N,., not DataFrame .6, 1": {"labels": pd.DataFrame({"label": LABELS})},
    "groups are text or numbers": {"groups": [{}] * 6},
    "list of different names, .* not 3": {"classes": 3},
    "among the classes a, c, but b is not": {"classes": ["a", "c"]},
    "no label is 'c'": {"classes": ["a", "b", "c"]},
    "positions in classes, 0 to 1, but 2": {"labels": [0, 1, 0, 1, 0, 2], "classes": ["a", "b"]},
    "list of different names": {"classes": ["a", "a"]},
    "groups must be given for every image": {"groups": [1, 2, 3, 4, 5, None]},
    "ids must be unique, but 'x' stands twice": {"ids": ["x", "x", "y", "z", "v", "w"]},
    "True or False for each image, not 0; for 0 and 1, type": {"is_test": [0, 0, 0, 1, 1, 1]},
    "every image is a test image": {"is_test": [True] * 6},
    "no image is a test image": {"is_test": [False] * 6},
    "did you mean 'b'": {"positive_class": "bb"},
}


@pytest.mark.parametrize("message", BAD_OTHERS)
def test_what_does_not_fit_the_images_is_refused(message):
    with pytest.raises(DatasetError, match=message):
        lesionbench.images(PIXELS, **{"labels": LABELS, **BAD_OTHERS[message]})


def test_a_column_of_true_and_false_is_taken_whatever_its_dtype():
    made = lesionbench.images(PIXELS, LABELS, is_test=pd.Series([True, False] * 3, dtype=object))

    assert made.data.is_test.tolist() == [True, False] * 3


def test_a_class_with_a_number_for_a_name_may_be_the_positive_one():
    array = np.zeros((4, 8, 8, 1), np.uint8)

    assert lesionbench.images(array, [0, 1, 0, 1], positive_class=0).positive_class == "0"
    assert lesionbench.images(array, [0, 1, 0, 1], positive_class=np.int64(1)).positive_class == "1"


@pytest.mark.parametrize(
    ("labels", "what_to_type"),
    [(np.array([[0], [1]]), "np.ravel(labels)"), (np.eye(2), "np.argmax(labels, axis=1)")],
)
def test_labels_in_a_column_or_one_hot_are_refused_with_what_to_type(labels, what_to_type):
    with pytest.raises(DatasetError, match=re.escape(f"not ndarray {labels.shape}; ") + ".*" + re.escape(what_to_type)):
        lesionbench.images(np.zeros((2, 8, 8, 1), np.uint8), labels)
