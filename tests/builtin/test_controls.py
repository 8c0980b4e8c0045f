from __future__ import annotations

import numpy as np
import pytest

from lesionbench.builtin.controls import NoAugmenter, Oversample
from lesionbench.errors import ContractError
from lesionbench.testing import a_context, augmenter_checks, tiny_images


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("control", [NoAugmenter, Oversample])
def test_the_controls_keep_the_contract(control, check):
    check(control)


def test_none_refuses_a_dose_above_zero(tmp_path):
    sampler = NoAugmenter().fit(tiny_images(), a_context(tmp_path))
    with pytest.raises(ContractError, match=r"no synthetic images can be drawn here, but 3 were asked for; use dose 0"):
        sampler.sample(0, 3, seed=1)


def test_oversample_draws_every_image_once_before_any_comes_twice(tmp_path):
    train = tiny_images(per_class=7)
    drawn = Oversample().fit(train, a_context(tmp_path)).sample(1, 17, seed=3)
    seen = [image.tobytes() for image in drawn]
    own = {image.tobytes() for image in train.of_class(1)}
    assert [own, own] == [set(seen[:7]), set(seen[7:14])]
    assert 3 == len(set(seen[14:]) & own)


def test_oversample_shuffles_every_round_anew(tmp_path):
    drawn = Oversample().fit(tiny_images(), a_context(tmp_path)).sample(0, 24, seed=3)
    assert not np.array_equal(drawn[:12], drawn[12:])


def test_oversample_refuses_a_class_without_images(tmp_path):
    train = tiny_images(classes=2).take(np.arange(12))  # of class 0 alone
    sampler = Oversample().fit(train, a_context(tmp_path))
    with pytest.raises(ContractError, match="class 1 has none"):
        sampler.sample(1, 4, seed=0)
    assert (0, 32, 32, 3) == sampler.sample(1, 0, seed=0).shape
