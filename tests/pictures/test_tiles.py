"""Images as tiles of a contact sheet."""

import numpy as np

from lesionbench.pictures.drawing import as_tile


def test_a_small_image_is_enlarged_without_smoothing():
    image = np.array([[0, 80], [160, 240]], np.uint8)[..., None]

    tile = np.asarray(as_tile(image, 8))

    assert tile.shape == (8, 8, 3)
    np.testing.assert_array_equal(tile[..., 0], image[..., 0].repeat(4, axis=0).repeat(4, axis=1))


def test_no_row_is_dropped_when_one_side_of_an_image_is_longer_than_the_tile():
    stripes = np.zeros((64, 4, 3), np.uint8)
    stripes[::2] = 255

    tile = np.asarray(as_tile(stripes, 16))

    assert 100 < tile.min() <= tile.max() < 155
