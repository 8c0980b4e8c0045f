from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chisquare, kstest

from lesionbench import ContractError, LabelledImages, RunContext
from lesionbench.testing import augmenter_checks
from lesionbench_classic import Classic
from lesionbench_classic.changes import BOTH, LEFT_RIGHT, NO_FLIP, UP_DOWN, Changes, changed

OFF = {"rotation": 0, "flips": False, "translation": 0, "scale_min": 1, "scale_max": 1}


def only(**settings):
    return Classic(**(OFF | settings))


def noise(count=6, height=32, width=32, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def labelled(images, classes=2):
    numbers = np.arange(len(images))
    return LabelledImages(images, numbers % classes, numbers, numbers.astype(str), tuple("abc"[:classes]))


def fitted(settings, images):
    context = RunContext(0, "cpu", "fp32", Path(), lambda step, total, **scalars: None)
    return settings.fit(labelled(images), context)


def with_dots(*dots, size=65, radius=2.0):
    """Grey discs (row, column, brightness) on black: uint8 (1, size, size, 1)."""
    rows, columns = np.mgrid[:size, :size]
    image = np.zeros((size, size))
    for row, column, brightness in dots:
        image[np.hypot(rows - row, columns - column) <= radius] = brightness
    return image.astype(np.uint8)[None, ..., None]


def centre_of(image):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image[..., 0].astype(float)
    return np.array([(rows * weight).sum(), (columns * weight).sum()]) / weight.sum()


def moved_by(image, changed, most):
    """The whole-pixel shift that explains the changed image away from its border, or None."""
    inner = np.s_[most:-most, most:-most]
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            if np.array_equal(np.roll(image, (down, right), (0, 1))[inner], changed[inner]):
                return down, right
    return None


def which_effect(image, changed):
    flips = {"left-right": image[:, ::-1], "up-down": image[::-1], "both": image[::-1, ::-1]}
    for name, flipped in flips.items():
        if np.array_equal(flipped, changed):
            return name
    return {None: "scale", (0, 0): "none"}.get(moved_by(image, changed, 2), "translation")


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
def test_classic_keeps_the_contract(check):
    check(Classic)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 47), (1, 5), (1, 1)])
def test_copies_have_the_shape_of_the_originals(height, width, channels):
    images = noise(4, height, width, channels)
    sampler = fitted(Classic(), images)
    drawn = sampler.sample(0, 7, seed=3)
    assert ((7, height, width, channels), np.uint8) == (drawn.shape, drawn.dtype)
    assert images.shape == sampler.transform(images, seed=3).shape


def test_no_copies_are_an_empty_array_of_the_right_shape():
    sampler = fitted(Classic(), noise(4, 20, 47, 1))
    assert sampler.sample(1, 0, seed=0).shape == (0, 20, 47, 1)
    assert sampler.transform(noise(0, 20, 47, 1), seed=0).shape == (0, 20, 47, 1)


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    one, other = (fitted(Classic(), noise()) for _ in range(2))
    assert np.array_equal(one.sample(0, 9, seed=5), other.sample(0, 9, seed=5))
    assert np.array_equal(one.transform(noise(), seed=5), other.transform(noise(), seed=5))
    assert not np.array_equal(one.sample(0, 9, seed=5), one.sample(0, 9, seed=6))
    assert not np.array_equal(one.transform(noise(), seed=5), one.transform(noise(), seed=6))


def test_a_smaller_dose_is_the_beginning_of_a_larger_one_whatever_is_drawn_between():
    sampler = fitted(Classic(), noise())
    small = sampler.sample(1, 12, seed=5)
    sampler.sample(0, 3, seed=1)
    sampler.transform(noise(), seed=2)
    assert np.array_equal(small, sampler.sample(1, 48, seed=5)[:12])


def test_every_lesion_of_the_class_is_copied_once_before_any_is_copied_twice():
    images = noise(14)
    own = [image.tobytes() for image in images[1::2]]
    drawn = [image.tobytes() for image in fitted(only(), images).sample(1, 17, seed=4)]
    assert sorted(own) == sorted(drawn[:7]) == sorted(drawn[7:14])
    assert len(set(drawn[14:])) == 3
    assert own != drawn[:7]


def test_with_every_effect_off_the_images_come_back():
    images = noise()
    assert np.array_equal(images, fitted(only(), images).transform(images, seed=0))


def test_the_change_of_an_image_does_not_depend_on_the_others():
    images = noise(8)
    other = images.copy()
    other[[0, 2, 5]] = 0
    sampler = fitted(Classic(), images)
    whole = sampler.transform(images, seed=1)
    assert np.array_equal(whole[:3], sampler.transform(images[:3], seed=1))
    assert np.array_equal(whole[[1, 3, 4, 6, 7]], sampler.transform(other, seed=1)[[1, 3, 4, 6, 7]])


def test_every_image_of_a_batch_gets_a_change_of_its_own():
    same = np.repeat(noise(1), 40, axis=0)
    assert len({image.tobytes() for image in fitted(Classic(), same).transform(same, seed=0)}) == 40


def test_given_images_are_left_as_they_were_even_when_no_effect_is_on():
    images = noise()
    before = images.copy()
    for settings in (Classic(), only()):
        fitted(settings, images).transform(images, seed=0)[:] = 0
        assert np.array_equal(before, images)


def test_a_view_with_strange_strides_is_changed_like_its_copy():
    view = noise(6, 32, 40).transpose(0, 2, 1, 3)[::-1, :, ::-1]
    sampler = fitted(Classic(), view.copy())
    assert np.array_equal(sampler.transform(view.copy(), seed=2), sampler.transform(view, seed=2))


def test_a_shifted_dot_moves_at_most_by_the_setting_and_as_far_as_that():
    dot = with_dots((32, 32, 255), size=64)
    sampler = fitted(only(translation=4 / 64), np.repeat(dot, 2, axis=0))
    moves = [centre_of(image) - 32 for image in sampler.sample(0, 300, seed=0)]
    assert {-4, -3, -2, -1, 0, 1, 2, 3, 4} == {round(move[0], 6) for move in moves}
    assert {-4, -3, -2, -1, 0, 1, 2, 3, 4} == {round(move[1], 6) for move in moves}


def test_the_shift_is_a_share_of_the_shorter_side_in_both_directions():
    image = noise(1, 40, 80)
    changed = fitted(only(translation=0.05), image).transform(np.repeat(image, 150, axis=0), seed=0)
    moves = [moved_by(image[0], one, 3) for one in changed]
    assert None not in moves
    assert tuple(np.abs(moves).max(axis=0)) == (2, 2)


def test_with_flips_alone_an_image_is_one_of_its_flips_or_itself():
    image = noise(1)[0]
    drawn = fitted(only(flips=True), noise(2)).transform(np.repeat(image[None], 480, axis=0), seed=0)
    counts = Counter(which_effect(image, one) for one in drawn)
    assert {"none", "left-right", "up-down", "both"} == set(counts)
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_a_zoomed_disc_keeps_its_centre_and_its_size_stays_in_the_range():
    disc = with_dots((32, 32, 200), radius=15)
    drawn = fitted(only(scale_min=0.8, scale_max=1.5), disc).sample(0, 200, seed=0)
    assert np.allclose([centre_of(image) for image in drawn], 32, atol=0.05)
    zooms = np.sqrt([(image > 100).sum() / (disc > 100).sum() for image in drawn])
    assert 0.78 < zooms.min() < 0.85
    assert 1.42 < zooms.max() < 1.53


def test_a_turned_dot_keeps_its_distance_and_turns_by_at_most_the_setting():
    dot = with_dots((32, 44, 255))  # to the right of the centre, and never near a border that reflects
    drawn = fitted(only(rotation=60), dot).sample(0, 200, seed=0)
    down, right = np.array([centre_of(image) - 32 for image in drawn]).T
    assert np.allclose(np.hypot(down, right), 12, atol=0.1)
    angles = np.abs(np.degrees(np.arctan2(down, right)))
    assert angles.min() < 2
    assert 57 < angles.max() < 60.3


def test_after_the_rotation_comes_one_further_change_as_1_3_7_5():
    image = noise(1)[0]
    settings = only(flips=True, translation=2 / 32, scale_min=0.7, scale_max=0.8)
    drawn = fitted(settings, noise(2)).transform(np.repeat(image[None], 480, axis=0), seed=0)
    counts = Counter(which_effect(image, one) for one in drawn)
    unmoved = 7 / 25  # of the 5 x 5 shifts one is no shift
    shares = {"none": 1 + unmoved, "left-right": 1, "up-down": 1, "both": 1, "translation": 7 - unmoved, "scale": 5}
    assert set(shares) == set(counts)
    expected = [480 * share / 16 for share in shares.values()]
    assert chisquare([counts[name] for name in shares], expected).pvalue > 0.01


def changes_of(settings=None, shift=4, count=8000, seed=0):
    return Changes.draw(settings or Classic(), shift, count, np.random.default_rng(seed))


def kinds_of(changes):
    """The name of what follows each rotation; a shift by no pixel looks like a rotation alone."""
    flipped, zoomed = changes.flips != NO_FLIP, changes.zooms != 1
    shifted = (changes.right != 0) | (changes.down != 0)
    assert (flipped.astype(int) + zoomed + shifted).max() == 1
    return np.select([flipped, shifted, zoomed], ["flip", "shift", "zoom"], "none")


def test_the_four_kinds_of_change_are_drawn_as_1_3_7_5():
    counts = Counter(kinds_of(changes_of()))
    unmoved = 7 / 81  # of the 9 x 9 shifts one is no shift
    shares = {"none": 1 + unmoved, "flip": 3, "shift": 7 - unmoved, "zoom": 5}
    assert chisquare([counts[name] for name in shares], [500 * share for share in shares.values()]).pvalue > 0.01


@pytest.mark.parametrize(
    ("off", "shares"),
    [
        ({"flips": False}, {"none": 1, "shift": 7, "zoom": 5}),
        ({"scale_min": 1, "scale_max": 1}, {"none": 1, "flip": 3, "shift": 7}),
        ({"shift": 0}, {"none": 1, "flip": 3, "zoom": 5}),
    ],
)
def test_kinds_that_are_on_keep_their_proportions_when_another_is_off(off, shares):
    settings = {name: value for name, value in off.items() if name != "shift"}
    counts = Counter(kinds_of(changes_of(Classic(**settings), shift=off.get("shift", 400))))
    assert set(shares) == set(counts)
    expected = np.array(list(shares.values())) / sum(shares.values()) * 8000
    assert chisquare([counts[name] for name in shares], expected).pvalue > 0.01


def test_angles_and_zooms_are_uniform_in_their_ranges():
    changes = changes_of(Classic(rotation=70))
    assert kstest(changes.angles, "uniform", (0, 70)).pvalue > 0.01
    assert kstest(changes.zooms[changes.zooms != 1], "uniform", (0.83, 1.25 - 0.83)).pvalue > 0.01


def test_shifts_are_whole_pixels_and_every_pair_is_drawn_equally_often():
    changes = changes_of(only(translation=0.1), shift=2)  # 7 of 8 are shifts, one in 25 of these by nothing
    pairs = Counter(zip(changes.right, changes.down, strict=True))
    assert {(right, down) for right in range(-2, 3) for down in range(-2, 3)} == set(pairs)
    del pairs[0, 0]
    assert chisquare(list(pairs.values())).pvalue > 0.01


def test_the_three_flips_are_drawn_equally_often():
    counts = Counter(changes_of().flips.tolist())
    assert {NO_FLIP, LEFT_RIGHT, UP_DOWN, BOTH} == set(counts)
    del counts[NO_FLIP]
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_no_drawn_number_says_anything_about_another():
    changes = changes_of()
    for on in (changes.flips != NO_FLIP, changes.zooms != 1, (changes.right != 0) & (changes.down != 0)):
        numbers = [changes.angles, changes.zooms, changes.right, changes.down, changes.flips]
        numbers = [each[on] for each in numbers if np.ptp(each[on])]
        between = np.corrcoef(numbers)[np.triu_indices(len(numbers), 1)]
        assert np.abs(between).max() < 4 / np.sqrt(on.sum())


def by_albumentations(image, changes, i):
    """The image after albumentations' own transforms, made for the numbers of change i."""
    import albumentations  # here, because importing `changes` told it to stay off the network
    import cv2

    right, down, zoom = int(changes.right[i]), int(changes.down[i]), float(changes.zooms[i])
    affine = albumentations.Affine(
        rotate=(changes.angles[i],) * 2,
        translate_px={"x": (right, right), "y": (down, down)},
        scale=(zoom, zoom),
        keep_ratio=True,
        interpolation=cv2.INTER_CUBIC,
        border_mode=cv2.BORDER_REFLECT,
        p=1,
    )
    flips = {LEFT_RIGHT: ["HorizontalFlip"], UP_DOWN: ["VerticalFlip"], BOTH: ["HorizontalFlip", "VerticalFlip"]}
    flips = [getattr(albumentations, name)(p=1) for name in flips.get(int(changes.flips[i]), [])]
    return albumentations.Compose([affine, *flips])(image=image)["image"]


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(64, 64, 3), (32, 32, 1), (33, 20, 3), (5, 1, 1), (1, 1, 3), (224, 224, 3)]
)
@pytest.mark.parametrize("rotation", [360, 0])
def test_an_image_is_changed_as_by_the_transforms_of_albumentations(height, width, channels, rotation):
    count = 8 if height == 224 else 48
    images = noise(count, height, width, channels)
    changes = changes_of(Classic(rotation=rotation), count=count)
    for i, matrix in enumerate(changes.matrices(height, width)):
        ours = changed(images[i], matrix, int(changes.flips[i]))
        assert np.array_equal(by_albumentations(images[i], changes, i), ours)


def test_the_angle_says_nothing_about_the_shift():
    dots = np.repeat(with_dots((32, 32, 255), (32, 44, 90)), 2, axis=0)
    drawn = fitted(only(rotation=90, translation=4 / 65), dots).sample(0, 400, seed=0)
    middles = np.array([centre_of(np.where(image > 150, image, 0)) for image in drawn])
    dims = np.array([centre_of(np.where(image > 150, 0, image)) for image in drawn])
    angles = np.arctan2(*(dims - middles).T)
    assert np.abs(np.corrcoef([*(middles - 32).T, angles])[2, :2]).max() < 0.15


def test_no_global_random_state_is_touched_or_read():
    torch = pytest.importorskip("torch")
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        sampler = fitted(Classic(), noise())
        drawn.append((sampler.sample(0, 20, seed=5), sampler.transform(noise(), seed=5)))
        assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert np.array_equal(drawn[0][0], drawn[1][0])
    assert np.array_equal(drawn[0][1], drawn[1][1])


def test_the_number_of_opencv_threads_changes_no_pixel():
    cv2 = pytest.importorskip("cv2")
    sampler, threads = fitted(Classic(), noise(2, 400, 400)), cv2.getNumThreads()
    drawn = []
    try:
        for count in (1, 4):
            cv2.setNumThreads(count)
            drawn.append(sampler.sample(0, 6, seed=0))
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(*drawn)


def test_a_saved_sampler_draws_the_same_images_when_loaded(tmp_path):
    sampler = fitted(Classic(rotation=33, flips=False, scale_min=0.5), noise())
    sampler.save(tmp_path)
    loaded = Classic().load(tmp_path)
    assert np.array_equal(sampler.sample(1, 10, seed=7), loaded.sample(1, 10, seed=7))
    assert np.array_equal(sampler.transform(noise(), seed=7), loaded.transform(noise(), seed=7))


def test_a_class_without_images_is_refused_but_zero_copies_of_it_are_not():
    sampler = fitted(Classic(), noise(1))
    assert sampler.sample(1, 0, seed=0).shape == (0, 32, 32, 3)
    with pytest.raises(ContractError, match="at least one real image to copy, but class 1 has none"):
        sampler.sample(1, 1, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotation": -1}, "greater than or equal to 0"),
        ({"rotation": "nan"}, "less than or equal to 360"),
        ({"translation": -0.1}, "greater than or equal to 0"),
        ({"translation": 4}, "less than or equal to 0.5"),
        ({"scale_min": 0}, "greater than 0"),
        ({"scale_max": -1}, "greater than 0"),
        ({"scale_max": "inf"}, "less than or equal to 10"),
        ({"scale_min": 1.2, "scale_max": 0.8}, "1.2 is above 0.8; try scale_min=0.8,scale_max=1.2"),
        ({"flips": "perhaps"}, "valid boolean"),
        ({"shear": 5}, "not permitted"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_rule(settings, message):
    with pytest.raises(ValidationError, match=message):
        Classic(**settings)


def test_every_setting_explains_itself():
    assert [name for name, field in Classic.model_fields.items() if not field.description] == []


def test_registering_the_plugin_imports_nothing_heavy():
    code = "import sys, lesionbench_classic; print({'numpy', 'cv2', 'torch', 'albumentations'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
