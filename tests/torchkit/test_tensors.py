from __future__ import annotations

import numpy as np
import pytest
import torch

from lesionbench.torchkit.tensors import resized, to_images, to_tensor


@pytest.mark.parametrize("channels", [1, 3])
def test_every_grey_value_survives_the_way_to_a_tensor_and_back(channels):
    images = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), channels, axis=3)
    np.testing.assert_array_equal(images, to_images(to_tensor(images)))


def test_a_tensor_spans_minus_one_to_one_in_channels_last_order():
    tensor = to_tensor(np.array([0, 255], dtype=np.uint8).reshape(1, 2, 1, 1).repeat(3, axis=3))
    assert (1, 3, 2, 1) == tuple(tensor.shape)
    assert torch.float32 == tensor.dtype
    assert (-1.0, 1.0) == (tensor.min().item(), tensor.max().item())
    assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_read_only_images_are_taken_and_left_unchanged():
    images = np.full((1, 2, 2, 3), 7, dtype=np.uint8)
    images.flags.writeable = False
    to_tensor(images).zero_()
    assert 7 == images.min()


def test_values_outside_the_range_are_clipped():
    tensor = torch.tensor([-5.0, 5.0]).reshape(1, 1, 1, 2)
    assert [0, 255] == to_images(tensor).ravel().tolist()


def test_images_of_the_asked_size_are_returned_as_they_are():
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    assert resized(images, 2) is images


@pytest.mark.parametrize("shape", [(2, 64, 64, 3), (2, 20, 50, 1), (0, 64, 64, 3)])
def test_resized_images_are_square_and_keep_number_and_channels(shape):
    images = resized(np.full(shape, 200, dtype=np.uint8), 32)
    assert (shape[0], 32, 32, shape[3]) == images.shape
    assert np.uint8 == images.dtype
    assert (images == 200).all()


def test_shrinking_averages_and_does_not_skip_pixels():
    stripes = np.zeros((1, 64, 64, 1), dtype=np.uint8)
    stripes[:, :, ::2] = 255
    inner = resized(stripes, 16)[0, 2:-2, 2:-2]
    assert abs(inner.astype(float) - 127.5).max() < 2
