from __future__ import annotations

import numpy as np
import pytest

from lesionbench.builtin.controls import NoAugmenter, Noise, Oversample, RealHoldout
from lesionbench.errors import ContractError, SplitError
from lesionbench.pipeline.split import hold_back
from lesionbench.pipeline.training_set import Pool
from lesionbench.testing import a_context, augmenter_checks, tiny_images


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("control", [NoAugmenter, Noise, Oversample, RealHoldout])
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


def test_noise_is_as_bright_and_as_varied_as_the_images_and_blind_to_the_class(tmp_path):
    train = tiny_images(per_class=20)
    sampler = Noise().fit(train, a_context(tmp_path))
    drawn = sampler.sample(0, 50, seed=3)

    assert drawn.mean(axis=(0, 1, 2)) == pytest.approx(train.images.mean(axis=(0, 1, 2)), abs=2)
    assert sampler.sample(1, 50, seed=3).mean() == pytest.approx(drawn.mean(), abs=0.5)
    neighbours = np.corrcoef(drawn[:, :, :-1].ravel(), drawn[:, :, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.1  # but for the channels' means


def test_holding_back_takes_as_many_of_every_class_and_a_smaller_number_is_among_a_larger():
    images = tiny_images(per_class=20)
    few, many = (set(images.ids) - set(hold_back(images, number, seed=5).ids) for number in (4, 12))

    assert (8, 24) == (len(few), len(many))
    assert few < many
    assert not few <= set(images.ids) - set(hold_back(images, 12, seed=6).ids)


def test_a_class_is_never_held_back_whole():
    with pytest.raises(SplitError, match="write augmenters='real-holdout@6' or fewer"):
        hold_back(tiny_images(per_class=12), 12, seed=0)


def test_shuffled_labels_keep_every_doses_images_and_say_nothing_of_the_class():
    classes = tuple(np.full((400, 2, 2, 1), label, np.uint8) for label in range(3))
    shuffled = Pool(classes).shuffled(seed=7)

    for dose in (10, 400):
        images, labels = shuffled.first(dose)
        assert [dose] * 3 == np.bincount(images[:, 0, 0, 0], minlength=3).tolist()
        assert [dose] * 3 == np.bincount(labels).tolist()
    share = (images[:, 0, 0, 0] == labels).mean()
    assert abs(share - 1 / 3) < 0.06
    assert np.array_equal(shuffled.first(10)[0], Pool(tuple(own[:10] for own in classes)).shuffled(7).first(10)[0])
