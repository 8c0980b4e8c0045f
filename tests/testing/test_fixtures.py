from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import numpy as np
from pydantic import Field

from lesionbench import Classifier
from lesionbench.builtin.controls import Oversample
from lesionbench.testing import Skipped, a_context, augmenter_checks, quick, tiny_images, tiny_training_set
from lesionbench.testing.fixtures import KeptFolder, kept_for_other_checks


class Slow(Classifier):
    """Takes many steps."""

    name: ClassVar[str] = "slow"
    steps: int = Field(5000, ge=1, description="Optimizer steps.")

    def fit(self, train, context):
        raise NotImplementedError


def test_tiny_images_have_the_asked_shape_and_every_class():
    images = tiny_images(classes=3, channels=1, size=16, per_class=4)
    assert (12, 16, 16, 1) == images.images.shape
    assert [4, 4, 4] == np.bincount(images.labels).tolist()


def test_tiny_images_are_the_same_for_one_seed_and_others_for_another():
    one, again, other = (tiny_images(seed=seed).images for seed in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_tiny_training_sets_share_no_group_and_no_image_between_training_and_validation():
    train = tiny_training_set(seed=1)
    assert not set(train.real.groups) & set(train.validation.groups)
    assert not set(train.real.ids) & set(train.validation.ids)
    assert 12 == len(train.synthetic)


def test_a_context_keeps_what_is_reported(tmp_path):
    context = a_context(tmp_path / "fit", seed=3)
    context.report(1, 2, loss=0.5)
    assert (3, "cpu", "fp32") == (context.seed, context.device, context.precision)
    assert (tmp_path / "fit").is_dir()
    assert [(1, 2, {"loss": 0.5})] == context.report.rows


def test_a_quick_plugin_takes_two_steps():
    assert 2 == quick(Slow).steps


class CountsItsFits(Oversample):
    """Counts how often it was fitted."""

    fits: ClassVar[list[int]] = []

    def fit(self, train, context):
        self.fits.append(context.seed)
        return super().fit(train, context)


def test_all_checks_of_an_augmenter_need_nine_fits():
    for check in augmenter_checks():
        with suppress(Skipped):
            check(CountsItsFits)
    # watched, drawn from, the same once more, killed, saved before it draws (twice), read-only, of other images, grey
    assert 9 == len(CountsItsFits.fits)


def test_a_fit_is_kept_until_it_is_replaced_or_others_take_its_place(monkeypatch):
    class Other(Slow):
        pass

    made = []
    kept = kept_for_other_checks(maxsize=1)(lambda plugin_class: made.append(plugin_class))
    for plugin_class in (Slow, Slow, Other, Slow):
        kept(plugin_class)
    assert [Slow, Other, Slow] == made
    monkeypatch.setattr(Slow, "fit", lambda self, train, context: None)
    kept(Slow)
    assert 4 == len(made)


def test_a_kept_folder_ends_with_its_owner():
    owner = KeptFolder()
    path = owner.path
    (path / "weights").write_text("1")
    assert "1" == (path / "weights").read_text()
    del owner
    assert not path.exists()
