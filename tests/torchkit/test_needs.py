from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from lesionbench.errors import InputError
from lesionbench.testing import tiny_images
from lesionbench.torchkit.needs import log_resizing, refuse_empty_classes


def test_a_class_without_images_is_named():
    images = tiny_images()
    without = replace(images, labels=np.zeros_like(images.labels))
    with pytest.raises(InputError, match=r"some-gan needs at least 1 training image of every class, but 'class-1' has"):
        refuse_empty_classes("some-gan", without)
    refuse_empty_classes("some-gan", images)


@pytest.mark.parametrize("shape", [(48, 48, 1), (32, 48, 3)])
def test_images_of_another_size_than_the_networks_are_spoken_of(caplog, shape):
    with caplog.at_level(logging.INFO, "lesionbench"):
        log_resizing("some-gan", shape, 32)
        log_resizing("some-gan", (32, 32, 3), 32)
    height, width, _ = shape
    expected = f"some-gan learns at 32 x 32: the {height} x {width} training images are resized, and its images back"
    assert [expected] == caplog.messages
