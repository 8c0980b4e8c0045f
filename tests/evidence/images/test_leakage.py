"""Twins across the parts of a split, planted in images made here."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from made_arms import ROLES, arm_key
from PIL import Image
from scipy.ndimage import gaussian_filter

from lesionbench.errors import SplitError
from lesionbench.evidence.images.leakage import (
    PAIRS_COLUMNS,
    TWINS_COLUMNS,
    Divided,
    find_leaks,
    label_conflicts,
    pair_rows,
    pixel_digest,
    twin_rows,
)
from lesionbench.evidence.images.near_duplicates import near_duplicates
from lesionbench.evidence.images.thumbnails import SYMMETRIES, inverse, symmetry, thumbnails
from lesionbench.evidence.images.without_twins import WITHOUT_TWINS_COLUMNS, without_twins
from lesionbench.pipeline.leaderboard import ArmResult, as_csv
from lesionbench.pipeline.predictions import Predictions

SIDE = 64
DATA = os.environ.get("LESIONBENCH_DATA")


def lesion(seed, side=SIDE):
    """A picture like no other: uint8 (side, side, 3), patches of several sizes in one hue."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(side, side)), sigma) * sigma for sigma in (1, 2, 4, 8)]
    grey = 140 + 45 * sum(layers)
    return np.clip(grey[:, :, None] * [1.0, 0.8, 0.7], 0, 255).astype(np.uint8)


def rephotographed(image, seed=0):
    """The picture a little darker, noisy and saved as a JPEG."""
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    darker = np.clip(image * 0.9 + 8 + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(darker).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))


def turned(image, number):
    return symmetry(image[None].astype(np.float32), number)[0].astype(np.uint8)


def divided(images, parts, labels=None, groups=None):
    count = len(images)
    return Divided(
        np.stack(images),
        [pixel_digest(image) for image in images],
        np.array(parts),
        np.array([f"{n}.png" for n in range(count)]),
        np.array(labels or [""] * count),
        np.array(groups or [""] * count),
    )


def kinds(leaks):
    return [(pair.kind, pair.a, pair.b) for pair in leaks.pairs]


def test_the_eight_symmetries_of_a_picture_without_any_are_distinct():
    picture = lesion(1)

    assert len({turned(picture, number).tobytes() for number in range(SYMMETRIES)}) == 8


@pytest.mark.parametrize("number", range(SYMMETRIES))
def test_every_symmetry_is_undone_by_its_inverse(number):
    picture = lesion(2)

    assert np.array_equal(picture, turned(turned(picture, number), inverse(number)))


def test_a_thumbnail_holds_the_means_of_its_blocks():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)

    small = thumbnails(image, 2)

    assert small[0, :, :, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_a_thumbnail_of_a_size_that_does_not_divide_keeps_the_mean():
    image = lesion(3, 50)[None]

    assert thumbnails(image, 16).mean(axis=(0, 1, 2)) == pytest.approx(image.mean(axis=(0, 1, 2)), rel=1e-5)


@pytest.mark.parametrize("number", range(SYMMETRIES))
@pytest.mark.parametrize("side", [32, 64])
def test_a_twin_is_found_under_every_flip_and_turn(number, side):
    images = [lesion(seed, side) for seed in range(12)]
    images.append(rephotographed(turned(images[7], number)))

    (found,) = near_duplicates(np.stack(images), np.array([0] * 12 + [1]), 0.85)

    assert (found.first, found.second) == (12, 7)
    assert found.symmetry == inverse(number)
    assert found.similarity > 0.85


def test_a_twin_is_found_when_it_was_taken_from_nearer_by():
    images = [lesion(seed) for seed in range(12)]
    nearer = Image.fromarray(images[4]).crop((6, 8, 54, 56)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    images.append(rephotographed(np.asarray(nearer)))

    (found,) = near_duplicates(np.stack(images), np.array([0] * 12 + [1]), 0.85)

    assert (found.first, found.second) == (12, 4)


def test_images_that_have_nothing_to_do_with_each_other_are_not_found():
    images = np.stack([lesion(seed) for seed in range(60)])

    assert near_duplicates(images, np.arange(60) % 2, 0.5) == []


def test_a_grey_twin_of_a_colour_picture_is_found():
    images = [lesion(seed) for seed in range(6)]
    grey = images[2].mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)

    (found,) = near_duplicates(np.stack([*images, grey]), np.array([0] * 6 + [1]), 0.85)

    assert (found.first, found.second) == (6, 2)


@pytest.mark.parametrize("shape", [(40, 64, 1), (1, 1, 1), (5, 9, 3)])
def test_images_of_any_shape_can_be_compared(shape):
    images = np.random.default_rng(0).integers(0, 256, (6, *shape), np.uint8)

    assert near_duplicates(images, np.array([0, 0, 0, 1, 1, 1]), 0.999) == []


def test_blank_images_are_exact_duplicates_or_nothing():
    blank, other = np.full((SIDE, SIDE, 3), 90, np.uint8), np.full((SIDE, SIDE, 3), 91, np.uint8)

    leaks = find_leaks(divided([blank, other, blank, lesion(1)], ["test", "test", "train", "train"]), 0.5)

    assert kinds(leaks) == [("exact", 0, 2)]


def test_an_exact_duplicate_is_found_across_parts_and_within_one():
    images = [lesion(seed) for seed in range(5)]

    leaks = find_leaks(divided([*images, images[0], images[1]], ["test"] * 2 + ["train"] * 4 + ["test"]), 0.85)

    assert kinds(leaks) == [("exact", 0, 5), ("exact", 1, 6)]
    assert [row["across_parts"] for row in pair_rows(leaks)] == ["yes", "no"]
    assert leaks.any_twin.tolist() == [True, False, False, False, False, True, False]


def test_the_same_bytes_in_another_shape_are_no_duplicate():
    image = np.zeros((4, 9, 1), np.uint8)

    assert pixel_digest(image) != pixel_digest(image.reshape(6, 6, 1))


def test_a_group_in_two_parts_is_found_and_one_that_is_not_known_links_nothing():
    images = [lesion(seed) for seed in range(6)]
    groups = ["p1", "", "p2", "p1", "", "p2"]

    leaks = find_leaks(divided(images, ["test", "test", "test", "train", "train", "test"], groups=groups), 0.85)

    assert kinds(leaks) == [("shared group", 0, 3)]
    assert pair_rows(leaks)[0]["similarity"] is None


def test_a_large_group_is_listed_an_image_a_row_and_not_every_pair():
    images = [lesion(seed, 16) for seed in range(40)]
    parts = ["test"] * 20 + ["train"] * 20

    leaks = find_leaks(divided(images, parts, groups=["p"] * 40), 1.0)

    assert len(leaks.pairs) == 39
    assert leaks.any_twin.all()


def test_a_pair_is_listed_once_as_the_surest_of_what_it_is():
    image = lesion(0)
    images = [image, image, rephotographed(lesion(5)), lesion(5)]

    leaks = find_leaks(divided(images, ["test", "train", "test", "train"], groups=["a", "a", "b", "b"]), 0.85)

    assert kinds(leaks) == [("exact", 0, 1), ("near", 2, 3)]
    assert [row["same_group"] for row in pair_rows(leaks)] == ["yes", "yes"]


def test_a_pair_lists_the_tested_image_first_and_how_it_is_turned():
    images = [turned(lesion(3), 1), *(lesion(seed) for seed in range(8)), lesion(20), lesion(21)]

    leaks = find_leaks(divided(images, ["train"] + ["test"] * 8 + ["train"] * 2), 0.85)

    (row,) = pair_rows(leaks)
    assert (row["id_a"], row["part_a"], row["id_b"]) == ("4.png", "test", "0.png")
    assert row["symmetry"] == "turned left"
    assert list(row) == list(PAIRS_COLUMNS)


def test_twins_are_counted_by_part_and_class():
    images = [lesion(seed) for seed in range(4)]
    parts, labels = ["test"] * 3 + ["train"] * 2, ["a", "a", "b", "b", "a"]

    leaks = find_leaks(divided([*images, rephotographed(images[0])], parts, labels, ["1", "2", "3", "3", "1"]), 0.85)

    assert [tuple(row[name] for name in TWINS_COLUMNS) for row in twin_rows(leaks)] == [
        ("test", "a", 2, 1, 0, 1, 1),
        ("test", "b", 1, 1, 0, 0, 1),
        ("test", "all", 3, 2, 0, 1, 2),
    ]


def test_a_picture_with_two_labels_is_a_label_conflict():
    images = [lesion(0), lesion(1), lesion(0), rephotographed(lesion(1))]

    leaks = find_leaks(divided(images, ["test", "test", "train", "train"], ["a", "a", "b", "a"]), 0.85)

    assert [(pair.a, pair.b) for pair in label_conflicts(leaks)] == [(0, 2)]


def test_a_split_of_one_part_is_refused():
    with pytest.raises(SplitError, match="only train"):
        divided([lesion(0), lesion(1)], ["train", "train"])


def test_the_same_images_give_the_same_rows():
    images = [lesion(seed) for seed in range(10)] + [rephotographed(lesion(3))]

    first, second = (pair_rows(find_leaks(divided(images, ["train"] * 10 + ["test"]), 0.8)) for _ in range(2))

    assert as_csv(first, PAIRS_COLUMNS) == as_csv(second, PAIRS_COLUMNS)


def predictions(ids, labels, positive):
    scores = np.array([[1 - score, score] for score in positive])
    numbers = np.arange(len(ids))
    return Predictions("test", 0, np.array(list(ids)), numbers, np.array(labels), scores, ("benign", "malignant"))


def arm(test):
    return ArmResult(arm_key(), ROLES["none"], folds=1, test=test, failed_cells=0)


def test_the_leaderboard_without_twins_is_that_of_a_hand_calculation():
    """Malignant a, b, c: a and b found; benign d, e, f, g: f called malignant. Without a and f: 1 of 2, 3 of 3."""
    found = predictions("abcdefg", [1, 1, 1, 0, 0, 0, 0], [0.9, 0.8, 0.1, 0.2, 0.3, 0.7, 0.4])

    (row,) = without_twins([arm({(1, 1): [found]})], {"a", "f", "not tested"})

    assert (row["n_test"], row["n_test_without_twins"]) == (7, 5)
    assert (row["sensitivity"], row["specificity"]) == (2 / 3, 3 / 4)
    assert (row["sensitivity_without_twins"], row["specificity_without_twins"]) == (1 / 2, 1.0)
    assert row["sensitivity_difference"] == pytest.approx(-1 / 6)
    assert row["auc_without_twins"] == 0.5  # b above d, e and g, c below all three
    assert set(row) == set(WITHOUT_TWINS_COLUMNS)


def test_a_class_of_which_nothing_is_left_has_no_rate():
    found = predictions("abc", [1, 0, 0], [0.9, 0.2, 0.3])

    (row,) = without_twins([arm({(1, 1): [found]})], {"a"})

    assert row["sensitivity"] == 1.0
    assert (row["sensitivity_without_twins"], row["sensitivity_difference"]) == (None, None)


def test_an_arm_of_which_no_seed_is_complete_has_empty_columns():
    (row,) = without_twins([arm({})], {"a"})

    assert (row["seeds"], row["auc"], row["auc_without_twins"], row["auc_difference"]) == (0, None, None, None)


@pytest.mark.skipif(
    not DATA or not (Path(DATA) / "skin-lesion" / "groups.csv").is_file(),
    reason="needs the real skin lesions: set LESIONBENCH_DATA to the folder that holds skin-lesion",
)
def test_the_leak_of_the_real_skin_lesions_is_found():
    """97 test images are known by lesion id to have a twin in train; 19 more were found by an eye, and have no id.

    Every image of a lesion that stands on both sides is here, and every fifth of the others.
    """
    folder = Path(DATA) / "skin-lesion"
    with (folder / "groups.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sides = {side: {row["group"] for row in rows if row["split"] == side} for side in ("train", "test")}
    shared = sides["train"] & sides["test"]
    rows = [row for number, row in enumerate(rows) if row["group"] in shared or number % 5 == 0]
    paths = [folder / row["split"] / row["label"] / f"{row['name']}.png" for row in rows]
    images = np.stack([np.asarray(Image.open(path).convert("RGB").resize((32, 32))) for path in paths])
    is_test = np.array([row["split"] == "test" for row in rows])

    found = near_duplicates(images, is_test.astype(np.int64), 0.85)

    same = [pair for pair in found if rows[pair.first]["group"] == rows[pair.second]["group"]]
    twins = {pair.first if is_test[pair.first] else pair.second for pair in same}
    assert sum(not rows[image]["lesion_id"] for image in twins) >= 18
    assert sum(bool(rows[image]["lesion_id"]) for image in twins) >= 28
    known = [pair for pair in found if rows[pair.first]["lesion_id"] and rows[pair.second]["lesion_id"]]
    assert sum(rows[pair.first]["lesion_id"] != rows[pair.second]["lesion_id"] for pair in known) <= 3
