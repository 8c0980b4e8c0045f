import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesionbench.builtin.skin_phantom import SkinPhantom
from lesionbench.evidence.images.memorisation import (
    MEASURES,
    RealImages,
    adversarial_accuracy,
    audit_pool,
    authentic,
    copy_threshold,
    equal_draws,
    membership_advantage,
    membership_auc,
    membership_tpr,
    nearest_ratio,
)
from lesionbench.evidence.images.nearest import nearest, nearest_both, nearest_other
from lesionbench.evidence.images.thumbnails import symmetry
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.training_set import Pool

# Worked by hand, on the number line.
REAL = np.array([0.0, 1, 2, 3, 10])
SYNTHETIC = np.array([0.4, 0.6, 2.5, 20, 9.5])
LEARNT_FROM, HELD_OUT = np.array([0.05, 0.1, 0.2, 0.3]), np.array([0.15, 0.4, 0.6, 0.7])  # losses


def between(ones, others):
    return np.abs(ones[:, None] - others[None])


def to_other(points):
    distances = between(points, points)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)


def test_an_image_is_authentic_when_its_nearest_real_image_has_a_nearer_real_neighbour():
    distances = between(SYNTHETIC, REAL)

    marks = authentic(distances.min(axis=1), distances.argmin(axis=1), to_other(REAL))

    assert marks.tolist() == [False, False, False, True, False]


def test_the_ratio_of_the_two_nearest_distances_is_that_worked_by_hand():
    distances = np.sort(between(SYNTHETIC, REAL), axis=1)

    each = [round(nearest_ratio(row[:1], row[1:2]), 3) for row in distances]

    assert each == [0.667, 0.667, 1.0, 0.588, 0.077]
    assert nearest_ratio(distances[:, 0], distances[:, 1]) == pytest.approx(2 / 3)


def test_the_nearest_neighbour_tells_synthetic_from_real_as_often_as_worked_by_hand():
    across = between(REAL, SYNTHETIC)

    accuracy = adversarial_accuracy(across.min(axis=1), to_other(REAL), across.min(axis=0), to_other(SYNTHETIC))

    assert accuracy == pytest.approx(0.2)


def test_membership_inference_agrees_with_the_numbers_worked_by_hand():
    assert membership_auc(LEARNT_FROM, HELD_OUT) == 0.875
    assert membership_advantage(LEARNT_FROM, HELD_OUT) == 0.25
    assert membership_tpr(LEARNT_FROM, HELD_OUT, 0.01) == 0.5  # .05 and .1 lie below every held-out loss
    assert membership_tpr(LEARNT_FROM, HELD_OUT, 0.25) == 1.0  # below all held-out losses but one


def test_of_a_thousand_held_out_images_ten_may_lie_below_the_threshold():
    distances = np.arange(1, 1000, dtype=float)  # n = 999, so k / 1000 <= .01 up to k = 10

    threshold = copy_threshold(np.random.default_rng(0).permutation(distances), 0.01)

    assert (threshold.distance, threshold.reason) == (10.0, None)
    assert threshold.copies(np.array([0.0, 9.9, 10.0, 11.0])).tolist() == [True, True, False, False]


def test_too_few_held_out_images_for_the_rate_are_reported_with_the_rate_they_give():
    threshold = copy_threshold(np.arange(5.0, 24.0), 0.01)

    assert threshold.distance == 5.0
    assert threshold.reason == (
        "a false-alarm rate of 0.01 needs 99 held-out images, there are 19: "
        "the threshold is their smallest distance, at a rate of 0.05"
    )
    assert copy_threshold(np.arange(1.0, 100.0), 0.01).reason is None  # 99 are enough


def test_held_out_images_that_are_in_training_leave_exact_copies_only():
    threshold = copy_threshold(np.array([0.0, 0.0, 7.0, 8.0]), 0.2)

    assert threshold.distance == 0
    assert "2 of 4 held-out images are in training too, so only exact copies count" in threshold.reason
    assert threshold.copies(np.array([0.0, 0.1])).tolist() == [True, False]


def by_hand(ones, others):
    """Every distance, pixel by pixel, under all eight flips and turns."""
    turned = np.stack([symmetry(others.astype(np.float64), number) for number in range(8)])  # (8, M, S, S, C)
    return np.sqrt(((ones[:, None, None] - turned[None]) ** 2).mean(axis=(3, 4, 5)).min(axis=1))


@settings(max_examples=25)
@given(st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_the_nearest_is_what_measuring_every_pair_finds(side, channels, number, others, seed):
    random = np.random.default_rng(seed)
    one, other = (random.integers(0, 256, (n, side, side, channels)).astype(np.float32) for n in (number, others))
    other[0] = symmetry(one[-1:], seed % 8)[0]
    every = by_hand(one, other)

    found, back = nearest_both(one, other, seconds=True)

    rows = np.arange(number)
    assert np.allclose(found.distance, every.min(axis=1), rtol=1e-5)
    assert np.allclose(every[rows, found.index], found.distance, rtol=1e-5)
    assert np.allclose(back.distance, every.min(axis=0), rtol=1e-5)
    assert np.allclose(found.second, np.sort(np.c_[every, np.full((number, 1), np.inf)], axis=1)[:, 1])
    assert back.distance[0] == 0.0
    turned = np.stack(
        [symmetry(other[[which]], turn)[0] for which, turn in zip(found.index, found.turned, strict=True)]
    )
    assert np.allclose(np.sqrt(((one - turned) ** 2).mean(axis=(1, 2, 3))), found.distance, rtol=1e-5, atol=1e-4)


def test_no_image_is_its_own_nearest_other_and_one_alone_has_none():
    squares = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3)).astype(np.float32)
    every = by_hand(squares, squares)
    np.fill_diagonal(every, np.inf)

    assert np.allclose(nearest_other(squares).distance, every.min(axis=1))
    alone = nearest_other(squares[:1])
    assert (alone.distance[0], alone.index[0]) == (np.inf, -1)
    assert nearest(squares[:0], squares).distance.shape == (0,)


def test_the_search_in_blocks_finds_the_same(monkeypatch):
    random = np.random.default_rng(1)
    ones, others = (random.integers(0, 256, (n, 8, 8, 1)).astype(np.float32) for n in (50, 30))
    at_once = nearest_both(ones, others, seconds=True)

    monkeypatch.setattr("lesionbench.evidence.images.nearest.AT_ONCE", 100)
    monkeypatch.setattr("lesionbench.evidence.images.nearest.PIXELS_AT_ONCE", 200)
    in_blocks = nearest_both(ones, others, seconds=True)

    for one, other in zip(at_once, in_blocks, strict=True):
        assert np.array_equal(one.index, other.index)
        assert np.array_equal(one.distance, other.distance)
        assert np.array_equal(one.second, other.second)


def test_sets_of_one_size_have_as_many_of_every_class():
    one, other = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 2])

    first, second = equal_draws(one, other, np.random.default_rng(0))

    assert sorted(one[first]) == sorted(other[second]) == [0, 1, 1]


# Drawn lesions: 300 learned from, 200 held out, 200 that nobody saw.


@pytest.fixture(scope="module")
def phantoms():
    images = SkinPhantom(train=500, test=200).load(None).images
    first = np.arange(700)
    return images.take(first < 300), images.take((first >= 300) & (first < 500)), images.take(first >= 500)


@pytest.fixture(scope="module")
def real(phantoms):
    return RealImages.of(*phantoms[:2])


def pool_of(images):
    return Pool(tuple(images.of_class(label) for label in range(len(images.classes))))


def turned(images, random):
    return np.stack(
        [
            symmetry(image[None], number)[0]
            for image, number in zip(images, random.integers(0, 8, len(images)), strict=True)
        ]
    )


CHANGES = {
    "exact": lambda images, random: images,
    "turned": turned,
    "noisy": lambda images, random: np.clip(images + random.normal(0, 2, images.shape), 0, 255).astype(np.uint8),
    "brighter": lambda images, random: np.minimum(images, 254) + np.uint8(1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_copy_of_a_training_image_is_caught(phantoms, real, change):
    random = np.random.default_rng(0)
    copies = Pool(tuple(CHANGES[change](images, random) for images in pool_of(phantoms[0]).images))

    found = audit_pool(copies, real, 0)

    assert [row["copies_share"] for row in found.rows] == [1.0, 1.0, 1.0]
    assert [row["copies"] for row in found.rows] == [150, 150, 300]
    assert found.copies.all()
    if change in ("exact", "turned"):
        assert [row["exact_copies"] for row in found.rows] == [150, 150, 300]
    assert found.rows[2]["membership_auc"] > 0.95
    assert found.rows[2]["nnaa"] < 0.1
    assert found.rows[2]["authenticity"] < 0.1
    assert found.rows[2]["share_closer_to_train"] > 0.6  # it is compared with 2 in 3 of the training images


def test_an_exactly_turned_copy_shrunk_to_a_thumbnail_is_exact(phantoms):
    images = SkinPhantom(size=50, train=40, test=20).load(None).images
    train, held_out = images.take(np.arange(60) < 40), images.take(np.arange(60) >= 40)
    copies = Pool(tuple(turned(of_class, np.random.default_rng(0)) for of_class in pool_of(train).images))

    found = audit_pool(copies, RealImages.of(train, held_out), 0)

    assert found.rows[2]["exact_copies"] == 40


def test_new_drawings_are_called_copies_no_more_often_than_stated(phantoms, real):
    row = audit_pool(pool_of(phantoms[2]), real, 0).rows[2]

    assert real.threshold.reason is None
    assert row["copies"] <= 6  # 200 at .01: more has a probability of .004
    assert row["real_copies_share"] <= 0.01
    assert row["exact_copies"] == 0
    assert abs(row["share_closer_to_train"] - 0.5) < 0.15  # one draw of both sets: a standard deviation of .04
    assert abs(row["membership_auc"] - 0.5) < 0.1
    assert abs(row["nnaa"] - 0.5) < 0.1
    assert abs(row["authenticity"] - row["real_authenticity"]) < 0.1


def test_a_copy_with_the_wrong_label_is_a_copy(phantoms, real):
    swapped = Pool(pool_of(phantoms[0]).images[::-1])

    assert audit_pool(swapped, real, 0).rows[2]["copies_share"] == 1.0


def test_the_copies_of_a_class_come_in_the_order_of_drawing(phantoms, real):
    learned, new = pool_of(phantoms[0]).images, pool_of(phantoms[2]).images
    mixed = Pool(
        tuple(np.concatenate([copies[:3], fresh[:4], copies[5:7]]) for copies, fresh in zip(learned, new, strict=True))
    )

    found = audit_pool(mixed, real, 0)

    assert found.copies_of_class(0).tolist() == [True] * 3 + [False] * 4 + [True] * 2


def test_the_same_seed_gives_the_same_rows(phantoms, real):
    pool = Pool(tuple(images[:50] for images in pool_of(phantoms[2]).images))

    assert audit_pool(pool, real, 5).rows == audit_pool(pool, real, 5).rows


# Bad input: a row that says why it is empty.


def images_of(pixels, labels, classes=("a", "b")):
    number = len(pixels)
    ids = np.array([f"i{i}" for i in range(number)], dtype=np.str_)
    return LabelledImages(pixels, np.array(labels), np.arange(number), ids, classes)


def noise(number, seed, shape=(8, 8, 1)):
    return np.random.default_rng(seed).integers(0, 256, (number, *shape), dtype=np.uint8)


def test_a_class_without_synthetic_images_says_so():
    real = RealImages.of(images_of(noise(20, 0), [0, 1] * 10), images_of(noise(10, 1), [0, 1] * 5))

    rows = audit_pool(Pool((noise(0, 2), noise(6, 3))), real, 0).rows
    empty = audit_pool(Pool((noise(0, 2), noise(0, 3))), real, 0).rows

    assert rows[0]["reason"] == "no synthetic image of this class was drawn"
    assert (rows[1]["n"], rows[2]["n"]) == (6, 6)
    assert rows[0]["copies"] is None
    assert rows[2]["copies"] == rows[1]["copies"]
    assert {row["reason"] for row in empty} == {"no synthetic image of this class was drawn"}


def test_one_training_image_has_no_second_nearest():
    real = RealImages.of(images_of(noise(1, 0), [0]), images_of(noise(10, 1), [0, 1] * 5))

    row = audit_pool(Pool((noise(4, 2), noise(4, 3))), real, 0).rows[2]

    assert [name for name in MEASURES if row[name] is None] == [
        "authenticity",
        "real_authenticity",
        "nn_ratio",
        "real_nn_ratio",
        "nnaa",
    ]
    assert "authenticity and nn_ratio need two training images, there is one" in row["reason"]
    assert "nnaa needs two training and two synthetic images" in row["reason"]


def test_constant_images_are_all_copies_and_have_no_ratio():
    grey = np.full((12, 8, 8, 1), 90, np.uint8)
    real = RealImages.of(images_of(grey, [0, 1] * 6), images_of(grey[:6], [0, 1] * 3))

    row = audit_pool(Pool((grey[:5], grey[:5])), real, 0).rows[2]

    assert (row["copies_share"], row["exact_copies"], row["distance_median"]) == (1.0, 10, 0.0)
    assert (row["nn_ratio"], row["membership_auc"], row["share_closer_to_train"]) == (None, 0.5, 0.5)
    assert "6 of 6 held-out images are in training too" in row["reason"]
    assert "nn_ratio is left out where the two nearest training images are both at distance 0" in row["reason"]


def test_a_class_without_held_out_images_says_so():
    real = RealImages.of(images_of(noise(20, 0), [0, 1] * 10), images_of(noise(5, 1), [0] * 5))

    rows = audit_pool(Pool((noise(6, 2), noise(6, 3))), real, 0).rows

    assert (rows[1]["real_distance_median"], rows[1]["membership_auc"]) == (None, None)
    assert "no held-out image of this class, so nothing to compare with" in rows[1]["reason"]
    assert rows[2]["membership_auc"] is not None


def test_images_that_are_not_square_are_compared_as_squares():
    train, held_out = images_of(noise(20, 0, (12, 20, 3)), [0, 1] * 10), images_of(noise(9, 1, (12, 20, 3)), [0] * 9)

    rows = audit_pool(Pool((train.images[:3], noise(3, 2, (12, 20, 3)))), RealImages.of(train, held_out), 0).rows

    assert [row["exact_copies"] for row in rows] == [3, 0, 3]
