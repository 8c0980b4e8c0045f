import numpy as np
import pytest

from lesionbench import LabelledImages
from lesionbench.errors import ContractError
from lesionbench.pipeline.images import image_grid


def labelled(count=4, **changes):
    fields = {
        "images": np.zeros((count, 8, 8, 3), np.uint8),
        "labels": np.arange(count, dtype=np.int64) % 2,
        "groups": np.arange(count, dtype=np.int64),
        "ids": np.array([f"i{number}" for number in range(count)]),
        "classes": ("benign", "malignant"),
    }
    return LabelledImages(**(fields | changes))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("images", np.zeros((4, 8, 8, 3), np.float32), "images must be uint8"),
        ("images", np.zeros((4, 8, 8, 4), np.uint8), "images must be uint8"),
        ("images", [[1]], "images must be uint8"),
        ("labels", np.zeros(3, np.int64), "labels must be int64"),
        ("labels", np.full(4, 2, np.int64), "labels must lie in 0..1"),
        ("groups", np.zeros(4, np.int32), "groups must be int64"),
        ("ids", np.array(["a", "b", "c", "c"]), "ids must be unique"),
    ],
)
def test_a_wrong_array_is_refused_where_it_is_born(field, value, rule):
    with pytest.raises(ContractError, match=rule):
        labelled(**{field: value})


def test_labelled_images_cannot_be_changed():
    data = labelled()

    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 1


def test_the_callers_own_array_stays_writable():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    labelled(images=images)

    images[0] = 1

    assert images.flags.writeable


def test_a_grid_has_every_image_in_its_place():
    rows = [np.full((2, 4, 4, 1), value, np.uint8) for value in (10, 20)]

    picture = image_grid(rows, gap=1)

    assert picture.shape == (1, 11, 11, 1)
    assert picture[0, 1, 1, 0] == 10
    assert picture[0, 6, 6, 0] == 20
    assert picture[0, 0, 0, 0] == 255
