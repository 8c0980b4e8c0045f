from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from lesionbench.pictures.drawing import file_stems, save_curves, save_rows


def test_a_plain_name_is_its_own_file_name():
    assert ("benign", "malignant") == file_stems(["benign", "malignant"])


@pytest.mark.parametrize(
    "names",
    [
        ["a/b", "a_b", "a b"],
        ["Nevus", "nevus"],
        ["../../etc", ".."],
        ["", "x" * 500],
        ["a/b", "a_b-0"],
        ["naevus é", "一"],
    ],
)
def test_names_of_files_are_safe_and_no_two_are_alike(names):
    stems = file_stems(names)
    assert len(names) == len({stem.casefold() for stem in stems})
    assert all("/" not in stem and "\\" not in stem and len(f"x_{stem}.png".encode()) < 200 for stem in stems)


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_show_every_image_and_one_pixel_is_a_square(tmp_path, channels):
    images = np.zeros((8, 32, 32, channels), np.uint8)
    save_rows(tmp_path / "rows.png", [images, images[:3]], ["step 0", "step $1"])
    with Image.open(tmp_path / "rows.png") as file:
        picture = np.asarray(file.convert("L"))
    dark = (picture < 40).mean()
    assert 0.4 < dark < 0.75  # 11 of 16 places, and the names beside them
    assert picture.shape[1] > 900


def test_curves_take_any_name_and_touch_no_global_state(tmp_path):
    sys.modules.pop("matplotlib.pyplot", None)
    save_curves(
        tmp_path / "losses.png",
        {"$x^ _a 一 <b>": {"generator_loss": [(1, 1.0), (2, 2.0)], "discriminator_loss": [(2, 0.5), (9, 0.2)]}},
    )
    assert "matplotlib.pyplot" not in sys.modules
    with Image.open(tmp_path / "losses.png") as file:
        assert file.size[0] == 800
