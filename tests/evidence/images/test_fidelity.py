"""Fidelity and diversity: worked numbers, bounds, what real and false images score, and what cannot be computed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesionbench.errors import ContractError, InputError
from lesionbench.evidence.images.feature_distances import cubic_kernel, fid, frechet, kid, mmd2
from lesionbench.evidence.images.fidelity import ALL, FIDELITY_COLUMNS, SyntheticPool, fidelity_rows
from lesionbench.evidence.images.fidelity_samples import Extractor, Roles, kid_subset, real_side
from lesionbench.evidence.images.ms_ssim import diversity, ms_ssim, scales_for
from lesionbench.evidence.images.prdc import prdc
from lesionbench.evidence.images.sliced_wasserstein import levels_for, projected_distance, pyramid_level, swd
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.leaderboard import as_csv

REAL = np.array([[0.0], [1], [2], [3], [10]])
FALSE = np.array([[0.4], [0.6], [2.5], [20], [9.5]])
PIXELS = Extractor("means", lambda images: images.reshape(len(images), 16, -1).mean(axis=2))


def noise(count, size=32, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def blobs(count, size=32, seed=0, label=0):
    """Smooth images: a bright spot somewhere, larger in the second class."""
    rng = np.random.default_rng([seed, label])
    down, right = np.mgrid[:size, :size]
    y, x, wide = (rng.uniform(low, high, (count, 1, 1)) * size for low, high in ((0.3, 0.7), (0.3, 0.7), (0.1, 0.2)))
    light = np.exp(-((down - y) ** 2 + (right - x) ** 2) / (2 * ((1 + label) * wide) ** 2))
    images = 40 + 180 * light + rng.normal(0, 4, (count, size, size))
    return np.repeat(images[..., None], 3, axis=3).clip(0, 255).astype(np.uint8)


def labelled(counts, size=32, seed=0, make=blobs):
    images = np.concatenate([make(count, size, seed=seed, label=label) for label, count in enumerate(counts)])
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    ids = np.array([f"{seed}-{number}" for number in range(len(images))], dtype=np.str_)
    return LabelledImages(images, labels, np.arange(len(images)) + 10_000 * seed, ids, ("benign", "malignant"))


def rows_of(pool, real, seed=0, subset=None):
    pool = SyntheticPool("pool", "dcgan", real.fold, 1, pool)
    subset = subset or kid_subset(real.roles.sizes([len(images) for images in pool.images]))
    return {row["class"]: row for row in fidelity_rows(pool, real, subset, seed)}


@pytest.fixture(autouse=True)
def few_patches(monkeypatch):
    """Fewer patches and directions than a user's, for speed."""
    for name, value in {"PATCHES": 16, "DIRECTIONS": 32, "REPEATS": 2}.items():
        monkeypatch.setattr(f"lesionbench.evidence.images.sliced_wasserstein.{name}", value)


@pytest.fixture(scope="module")
def real():
    return real_side(labelled((150, 120), seed=1), labelled((70, 60), seed=2), 0, PIXELS, 0)


def test_the_kernel_distance_of_the_worked_example():
    one, other = np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 1], [0, 0]])

    assert mmd2(one, other) == pytest.approx(-2.375, abs=1e-12)
    biased = sum(cubic_kernel(a, a).mean() for a in (one, other)) - 2 * cubic_kernel(one, other).mean()
    assert biased == pytest.approx(0.5625, abs=1e-12)


def test_one_distribution_drawn_twice_has_a_kernel_distance_of_about_nothing():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 400, 64))

    mean, spread = kid(one, other, 100, 50, rng)

    assert abs(mean) < 0.01
    assert 0.001 < spread < 0.05


def test_subsets_of_all_images_are_all_the_same():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 20, 3))

    mean, spread = kid(one, other, 20, 5, rng)

    assert mean == pytest.approx(mmd2(one, other))
    assert spread == pytest.approx(0, abs=1e-12)


def test_precision_recall_density_and_coverage_of_the_worked_example():
    one, two = prdc(REAL, FALSE, 1), prdc(REAL, FALSE, 2)

    assert (one.precision, one.recall, one.density, one.coverage) == pytest.approx((0.8, 0.8, 1.4, 1.0))
    assert (two.precision, two.recall, two.density, two.coverage) == pytest.approx((0.8, 1.0, 0.8, 1.0))


def test_chunks_of_the_distances_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    real, synthetic = rng.standard_normal((23, 4)), rng.standard_normal((17, 4))
    whole = prdc(real, synthetic, 3)
    monkeypatch.setattr("lesionbench.evidence.images.prdc.CHUNK", 5)

    assert whole == prdc(real, synthetic, 3)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(4, 9), st.integers(4, 9))
def test_shares_are_shares_and_trading_places_trades_precision_for_recall(seed, k, count, others):
    rng = np.random.default_rng(seed)
    real, synthetic = rng.integers(0, 5, (count, 2)).astype(float), rng.integers(0, 5, (others, 2)).astype(float)

    found, traded = prdc(real, synthetic, k), prdc(synthetic, real, k)

    assert (found.precision, found.recall) == pytest.approx((traded.recall, traded.precision))
    assert all(0 <= share <= 1 for share in (found.precision, found.recall, found.coverage))
    assert found.density >= 0


def test_fewer_images_than_neighbors_are_refused():
    with pytest.raises(InputError, match="a 5-nearest neighbor needs more than 5 images, not 5"):
        prdc(REAL, FALSE, 5)


def test_gaussians_of_the_worked_examples_are_as_far_apart_as_worked_out():
    zero, unit = np.zeros(2), np.eye(2)

    assert frechet(zero, unit, np.ones(2), 4 * unit) == pytest.approx(4.0)
    assert frechet(zero, np.array([[2.0, 1], [1, 2]]), zero, unit) == pytest.approx(0.535898, abs=1e-6)
    assert frechet(zero, unit, zero, np.array([[2.0, 1], [1, 2]])) == pytest.approx(0.535898, abs=1e-6)


def test_the_frechet_distance_of_one_gaussian_drawn_twice_is_far_from_nothing_and_falls_with_the_images():
    rng = np.random.default_rng(0)

    def mean_of(count, times):
        return np.mean([fid(*rng.standard_normal((2, count, 64))) for _ in range(times)])

    assert mean_of(100, 20) == pytest.approx(21.87, abs=0.5)
    assert mean_of(1000, 2) == pytest.approx(2.22, abs=0.2)


def test_a_set_without_variance_has_a_frechet_distance():
    rng = np.random.default_rng(0)
    one = rng.standard_normal((50, 3))

    assert fid(one, np.ones((50, 3))) == pytest.approx(
        float(((one.mean(axis=0) - 1) ** 2).sum() + np.trace(np.cov(one.T)))
    )


@pytest.mark.parametrize(("size", "scales"), [(10, 0), (11, 1), (31, 1), (32, 2), (63, 2), (64, 3), (224, 3)])
def test_the_scales_follow_the_size(size, scales):
    assert scales == scales_for(size, size)


@pytest.mark.parametrize(("size", "scales"), [(11, 1), (32, 1), (32, 2), (35, 2), (64, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_exactly_like_itself(size, scales, channels):
    images = noise(3, size, channels)

    assert ms_ssim(images, images, scales).tolist() == [1.0, 1.0, 1.0]


def test_images_that_are_all_one_image_have_no_diversity():
    assert diversity(np.repeat(noise(1), 5, axis=0), 20, np.random.default_rng(0)) == 1.0


def test_two_flat_images_are_as_alike_as_their_brightness():
    flat = np.full((2, 16, 16, 1), [[[[50]]], [[[100]]]], np.uint8)
    c1 = (0.01 * 255) ** 2

    assert ms_ssim(flat[:1], flat[1:], 1)[0] == pytest.approx((2 * 50 * 100 + c1) / (50**2 + 100**2 + c1))


def test_a_negative_is_unlike_its_image_and_not_less_than_nothing():
    images = blobs(4)

    assert ms_ssim(images, 255 - images, 2).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_two_scales_agree_with_a_known_library():
    """pytorch-msssim 1.0.0 on this image and its noisy copy, in float64, its weights set to our two."""
    down, right = np.mgrid[:32, :32]
    one = np.stack([(4 * down + 3 * right) % 256, 128 + (down - right), down * right // 4], axis=-1)
    other = one + 40 * ((down // 2 + right) % 3 - 1)[..., None]

    found = ms_ssim(*(image[None].clip(0, 255).astype(np.uint8) for image in (one, other)), 2)

    assert found[0] == pytest.approx(LIBRARY, abs=2e-5)


LIBRARY = 0.43905031


def test_diversity_falls_with_likeness():
    rng = np.random.default_rng(0)

    assert diversity(noise(20), 50, rng) < diversity(blobs(20), 50, rng) < 1


def test_projections_of_the_worked_example_are_as_far_apart_as_worked_out():
    corner = np.array([[0.0, 0], [1, 0], [0, 1]])
    directions = np.array([[1, 0], [0, 1], [2**-0.5, 2**-0.5]])

    assert projected_distance(corner, 2 * corner, directions) == pytest.approx([1 / 3, 1 / 3, 0.47140452079103173])


@pytest.mark.parametrize(("size", "levels"), [(15, 0), (16, 1), (31, 2), (32, 2), (64, 3), (224, 4)])
def test_the_pyramid_ends_at_16_pixels(size, levels):
    assert levels == levels_for(size, size)


def test_a_flat_image_has_nothing_but_its_coarsest_level():
    flat = np.full((2, 32, 32, 3), 100, np.uint8)

    assert pyramid_level(flat, 0) == pytest.approx(np.zeros((2, 32, 32, 3)), abs=1e-4)
    assert pyramid_level(flat, 1) == pytest.approx(np.full((2, 16, 16, 3), 100), abs=1e-4)


def test_patches_of_the_same_kind_are_near_and_of_another_kind_far():
    rng = np.random.default_rng(0)

    same, other = swd(blobs(60), blobs(60, seed=1), rng), swd(blobs(60), noise(60), rng)

    assert list(same) == [32, 16]
    assert np.mean(list(other.values())) > 3 * np.mean(list(same.values()))


def test_flat_images_have_no_patches_to_tell_apart():
    flat = np.full((3, 20, 20, 1), 9, np.uint8)

    assert {20: 0.0} == swd(flat, flat, np.random.default_rng(0))


def test_grey_images_of_an_odd_size_have_a_distance():
    assert [33, 17] == list(swd(noise(3, 33, 1), noise(3, 33, 1, seed=1), np.random.default_rng(0)))


def test_the_reference_is_the_held_out_images_where_there_are_50_of_every_class():
    assert Roles.of([200, 150], [60, 50]) == Roles("validation", (60, 50), (200, 150))
    assert Roles.of([200, 151], [60, 49]) == Roles("training", (100, 75), (100, 76))
    assert Roles.of([60, 50], [40, 30]) == Roles("validation", (40, 30), (60, 50))


def test_both_sides_of_a_comparison_have_equally_many_images():
    roles = Roles.of([200, 150], [60, 50])

    assert [60, 40, 80] == roles.sizes([480, 40])
    assert [0, 40, 0] == roles.sizes([0, 40])


def test_a_kid_subset_is_half_the_smallest_comparison():
    assert kid_subset([60, 40, 80]) == 20
    assert kid_subset([600, 400]) == 100
    assert kid_subset([9, 30]) == 15
    assert kid_subset([3]) == 100


def test_every_row_has_the_columns_and_says_how_many_were_compared(real):
    rows = rows_of([blobs(90, seed=3), blobs(80, seed=3, label=1)], real)

    assert ["benign", "malignant", ALL] == list(rows)
    assert all(tuple(row) == FIDELITY_COLUMNS for row in rows.values())
    assert [70, 60, 120] == [row["n"] for row in rows.values()]
    assert [(90, 70, 150), (80, 60, 120), (170, 130, 270)] == [
        (row["n_synthetic"], row["n_real"], row["n_floor"]) for row in rows.values()
    ]
    assert [(30, 5, 2, "validation")] * 3 == [
        (row["kid_subset"], row["prdc_k"], row["ms_ssim_scales"], row["reference"]) for row in rows.values()
    ]
    assert all(row["reason"] == "" for row in rows.values())
    assert rows[ALL]["fid_n"] == 120
    assert rows[ALL]["features"] == 16


def test_new_images_of_the_kind_are_near_the_floor_and_noise_is_far_from_it(real):
    alike = rows_of([blobs(90, seed=3), blobs(80, seed=3, label=1)], real)["benign"]
    far = rows_of([noise(90), noise(80, seed=1)], real)["benign"]

    assert abs(alike["kid"] - alike["kid_floor"]) < 0.3 < far["kid"] - far["kid_floor"]
    assert alike["coverage"] > 0.8 and far["coverage"] < 0.2
    assert alike["fid"] < 3 * alike["fid_floor"] < far["fid"]
    assert alike["swd"] < 3 * alike["swd_floor"] < far["swd"]
    assert alike["ms_ssim"] == pytest.approx(alike["ms_ssim_real"], abs=0.1) and far["ms_ssim"] < 0.2


def test_a_pool_of_one_image_again_and_again_has_no_recall_and_no_diversity(real):
    row = rows_of([np.repeat(blobs(1), 90, axis=0), np.repeat(blobs(1, label=1), 80, axis=0)], real)["malignant"]

    assert row["ms_ssim"] == 1.0
    assert row["recall"] == 0.0


def test_the_same_input_gives_the_same_bytes_and_the_floor_does_not_depend_on_the_pool(real):
    pool = [blobs(90, seed=3), blobs(80, seed=3, label=1)]
    fresh = real_side(labelled((150, 120), seed=1), labelled((70, 60), seed=2), 0, PIXELS, 0)

    one, again = (as_csv(list(rows_of(pool, side).values()), FIDELITY_COLUMNS) for side in (real, fresh))
    other = rows_of([noise(90), noise(80, seed=1)], real)

    assert one == again
    assert [row["kid_floor"] for row in rows_of(pool, real).values()] == [row["kid_floor"] for row in other.values()]


def test_without_features_the_images_are_compared_as_images():
    real = real_side(labelled((150, 120), seed=1), labelled((70, 60), seed=2), 0, "linear has none", 0)
    row = rows_of([blobs(90), blobs(80, label=1)], real)[ALL]

    assert row["reason"] == "no features: linear has none"
    assert [None] * 4 == [row[name] for name in ("kid", "precision", "fid", "extractor")]
    assert row["swd"] > 0 and row["swd_floor"] > 0 and row["ms_ssim"] > 0


def test_fewer_images_than_features_have_no_frechet_distance():
    wide = Extractor("pixels", lambda images: images.reshape(len(images), -1))
    real = real_side(labelled((60, 60), seed=1), labelled((50, 50), seed=2), 0, wide, 0)

    row = rows_of([blobs(60), blobs(60, label=1)], real)["benign"]

    assert row["fid"] is None and row["fid_floor"] is None and row["fid_n"] is None
    assert row["reason"] == "fid needs more images than features (50 of 3072)"
    assert row["kid"] is not None


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_class_with_too_few_images_says_so(count, real):
    rows = rows_of([blobs(count), blobs(80, label=1)], real)

    assert f"a comparison needs 10 images or more on each side, not {count}" in rows["benign"]["reason"]
    assert rows["benign"]["kid"] is None and rows["benign"]["swd"] is None
    assert ("ms_ssim needs 2 synthetic images" in rows["benign"]["reason"]) == (count < 2)
    assert rows["malignant"]["kid"] is not None
    assert (rows[ALL]["kid"] is None) == (count < 5)


def test_real_images_that_the_extractor_cannot_tell_apart_are_reported():
    flat = Extractor("flat", lambda images: np.ones((len(images), 3)))
    real = real_side(labelled((60, 60), seed=1), labelled((50, 50), seed=2), 0, flat, 0)

    row = rows_of([blobs(60), blobs(60, label=1)], real)["benign"]

    assert row["kid"] is None
    assert row["reason"] == "no features: flat gives every real image the same features"


def test_small_images_say_what_is_too_small():
    real = real_side(labelled((60, 60), 8, seed=1), labelled((50, 50), 8, seed=2), 0, PIXELS, 0)

    row = rows_of([blobs(60, 8), blobs(60, 8, label=1)], real)["benign"]

    assert row["reason"] == (
        "swd needs images of 16 pixels or more, not 8x8; ms_ssim needs images of 11 pixels or more, not 8x8"
    )
    assert row["kid"] is not None and row["ms_ssim_scales"] is None


def test_images_that_are_all_alike_give_no_warning():
    def flat(count, size, seed, label):
        return np.full((count, size, size, 3), 100, np.uint8)

    parts = (labelled((60, 60), make=flat, seed=seed) for seed in (1, 2))
    real = real_side(*parts, 0, PIXELS, 0)

    row = rows_of([np.full((60, 32, 32, 3), 100, np.uint8)] * 2, real)["benign"]

    assert row["ms_ssim"] == 1.0 and row["swd"] == 0.0
    assert "gives every real image the same features" in row["reason"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            lambda images: np.full((len(images), 3), np.nan),
            "features are finite numbers, but mine gives others for 240",
        ),
        (lambda images: np.ones(len(images)), r"one row for each image, here \(240, D\), but mine gives \(240,\)"),
        (lambda images: np.ones((2, 3)), r"one row for each image, here \(240, D\), but mine gives \(2, 3\)"),
    ],
)
def test_features_that_are_none_are_refused(features, message):
    with pytest.raises(ContractError, match=message):
        real_side(labelled((70, 70), seed=1), labelled((50, 50), seed=2), 0, Extractor("mine", features), 0)
