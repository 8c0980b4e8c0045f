import json

import numpy as np
import pytest
from PIL import Image

from lesionbench.experiment.pictures import draw_progress, draw_samples
from lesionbench.pipeline.training_set import Pool
from lesionbench.testing import tiny_images


def progress(folder, lines):
    (folder / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_class_has_a_picture_with_real_and_synthetic_images(tmp_path):
    train = tiny_images()
    pool = Pool(tuple(np.zeros((30, 32, 32, 3), np.uint8) for _ in train.classes))

    draw_samples(tmp_path / "samples", "fit", train, pool)

    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == sorted(f"fit_{name}.png" for name in train.classes)
    with Image.open(tmp_path / "samples" / names[0]) as picture:
        bottom = np.asarray(picture)[-40:, 120:400]
    assert (bottom == 0).mean() > 0.5  # the synthetic ones are black and stand below


def test_what_was_reported_is_drawn(tmp_path):
    progress(tmp_path, [{"step": step, "total": 9, "seconds": 1.0, "loss": 1 / step} for step in range(1, 10)])

    draw_progress(tmp_path)

    assert (tmp_path / "losses.png").stat().st_size > 5000


@pytest.mark.parametrize("lines", [[], [{"step": 1, "total": 1, "seconds": 0.1, "loss": 0.3}]])
def test_nothing_is_drawn_of_less_than_two_points(tmp_path, lines):
    progress(tmp_path, lines)

    draw_progress(tmp_path)

    assert not (tmp_path / "losses.png").exists()


def test_a_plugins_own_curves_are_kept(tmp_path):
    progress(tmp_path, [{"step": step, "total": 2, "seconds": 1.0, "loss": 1.0} for step in (1, 2)])
    (tmp_path / "losses.png").write_bytes(b"mine")

    draw_progress(tmp_path)

    assert (tmp_path / "losses.png").read_bytes() == b"mine"
