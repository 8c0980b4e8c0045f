from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from lesionbench import ContractError, InputError, LabelledImages, RunContext, TrainingDiverged
from lesionbench.plugins import Plugins
from lesionbench.testing import augmenter_checks
from lesionbench.torchkit.sampling import CHUNK
from lesionbench_progressive_gan import ProgressiveGan

QUICK = {"steps": 8, "batch_size": 4, "size": 16, "width": 4, "base": 32, "latent": 8}


def real(counts=(5, 3), height=16, width=16, channels=3, classes=("benign", "malignant")):
    """Noise around another grey a class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(0).integers(0, 60, (len(labels), height, width, channels))
    images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
    numbers = np.arange(len(labels))
    return LabelledImages(images, labels, numbers, numbers.astype(str), tuple(classes))


@pytest.fixture
def fit(tmp_path):
    def fitted(images=None, seed=0, report=lambda step, total, **scalars: None, precision="fp32", **settings):
        context = RunContext(seed, "cpu", precision, tmp_path, report)
        return ProgressiveGan(**(QUICK | settings)).fit(images or real(), context)

    return fitted


BOTH = pytest.mark.parametrize("conditioning", ["auxiliary", "per-class"])


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
def test_progressive_gan_keeps_the_contract(check):
    check(ProgressiveGan)


def test_importing_the_plugin_loads_neither_torch_nor_numpy():
    code = "import sys, lesionbench_progressive_gan; sys.exit(any(n in sys.modules for n in ('torch', 'numpy')))"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_every_setting_is_described():
    assert all(field.description for field in ProgressiveGan.model_fields.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"batch_size": 6},
        {"batch_size": 0},
        {"learning_rate": 0},
        {"beta1": 1},
        {"scale": 0},
        {"fade_images": 0},
        {"penalty_every": 0},
        {"ema": 1},
        {"conditioning": "none"},
        {"step": 3},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        ProgressiveGan(**wrong)


@pytest.mark.parametrize("size", [4, 8, 24, 48, 100, 512, -32])
def test_a_size_that_is_no_level_is_refused_in_one_sentence(size):
    expected = rf"size: must be a power of two from 16 to 256 \(16, 32, 64, 128 or 256\), not '{size}'"
    with pytest.raises(InputError, match=expected):
        Plugins.load().augmenter(f"progressive-gan[size={size}]")


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_every_level_from_16_to_256_is_a_size(size):
    assert size == Plugins.load().augmenter(f"progressive-gan[size={size}]").size


@BOTH
def test_the_same_seed_learns_and_draws_the_same_images(fit, conditioning):
    one, other = (fit(seed=3, conditioning=conditioning).sample(1, 6, 9) for _ in range(2))
    assert np.array_equal(one, other)


def test_another_seed_of_the_fit_or_of_the_draw_gives_other_images(fit):
    one = fit(seed=3)
    assert not np.array_equal(one.sample(0, 6, 9), fit(seed=4).sample(0, 6, 9))
    assert not np.array_equal(one.sample(0, 6, 9), one.sample(0, 6, 10))


@BOTH
def test_a_smaller_dose_is_the_beginning_of_a_larger_one_bit_for_bit(fit, conditioning):
    sampler = fit(conditioning=conditioning)
    most = sampler.sample(0, CHUNK + 5, 1)
    for count in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1):
        assert np.array_equal(most[:count], sampler.sample(0, count, 1))
    assert len(np.unique(most.reshape(len(most), -1), axis=0)) == len(most)


@BOTH
def test_a_label_that_was_not_trained_is_refused(fit, conditioning):
    with pytest.raises(ContractError, match=r"must lie in 0\.\.1, not 2"):
        fit(conditioning=conditioning).sample(2, 1, 0)


@BOTH
@pytest.mark.parametrize("shape", [(16, 16, 3), (20, 45, 1)])
def test_a_loaded_sampler_draws_the_same_images_whatever_the_settings_that_load_it(fit, tmp_path, conditioning, shape):
    sampler = fit(real((3, 3), *shape), conditioning=conditioning)
    sampler.save(tmp_path)
    loaded = ProgressiveGan(size=64).load(tmp_path)
    for label in (0, 1):
        assert np.array_equal(sampler.sample(label, CHUNK + 1, 4), loaded.sample(label, CHUNK + 1, 4))


def test_one_gan_tells_three_classes_or_there_are_three(fit):
    images = real((4, 4, 4), channels=1, classes=("cyst", "metastasis", "hemangioma"))
    assert 1 == len(fit(images).generators)
    assert 3 == len(fit(images, conditioning="per-class").generators)


def test_per_class_gans_of_the_same_images_are_their_own(fit):
    images = real((4, 4))
    twice = np.concatenate([images.images[:4]] * 2)
    twins = LabelledImages(twice, images.labels, images.groups, images.ids, images.classes)
    one, other = (
        generator.state_dict()["first.weight"] for generator in fit(twins, conditioning="per-class").generators
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize("shape", [(48, 48, 1), (20, 45, 3)])
def test_images_of_another_size_are_resized_and_that_is_said_once(fit, caplog, shape):
    with caplog.at_level(logging.INFO, "lesionbench"):
        drawn = fit(real((3, 3), *shape)).sample(1, 3, 0)
    assert (3, *shape) == drawn.shape
    assert 1 == len(caplog.messages)
    assert caplog.messages[0].startswith("progressive-gan learns at 16 x 16")


@BOTH
def test_a_class_may_be_smaller_than_the_batch(fit, conditioning):
    assert (2, 16, 16, 3) == fit(real((1, 1)), conditioning=conditioning).sample(0, 2, 0).shape


@BOTH
def test_a_class_without_images_is_named_before_anything_is_trained(fit, tmp_path, conditioning):
    with pytest.raises(InputError, match=r"progressive-gan needs .* 'malignant' has 0"):
        fit(real((4, 0)), conditioning=conditioning)
    assert [] == list(tmp_path.iterdir())


def test_reports_say_the_resolution_and_the_fade(fit):
    rows = []
    # 20 steps, all reported: 1 at 4 px, and 2 to fade and 1 stable at 8 px, and 2 to fade and 14 stable at 16 px.
    fit(
        report=lambda step, total, **scalars: rows.append((step, total, scalars)),
        steps=20, stable_images=1, fade_images=2, final_images=14,
    )  # fmt: skip
    growth = {step: (scalars["resolution"], scalars["fade"]) for step, _, scalars in rows}
    assert {20} == {total for _, total, _ in rows}
    assert [1, 3, 4, 6, 10, 13, 20] == list(growth)  # the ends of the phases, and every tenth
    assert (4, 1) == growth[1]
    assert (8, pytest.approx(0.5)) == growth[3]
    assert (8, 1) == growth[4]
    assert (16, pytest.approx(0.5)) == growth[6]
    assert (16, 1) == growth[20]
    losses = {"generator_loss", "discriminator_loss", "wasserstein", "gradient_penalty", "class_loss"}
    assert all(losses | {"resolution", "fade"} == set(scalars) for _, _, scalars in rows)


def test_the_steps_of_all_classes_are_counted_together(fit):
    rows = []
    fit(report=lambda step, total, **scalars: rows.append((step, total, scalars)), steps=12, conditioning="per-class")
    assert {24} == {total for _, total, _ in rows}
    assert 24 == rows[-1][0]
    assert all(scalars["label"] == (step > 12) for step, _, scalars in rows)
    assert not any("class_loss" in scalars for _, _, scalars in rows)


@BOTH
def test_a_fit_leaves_its_pictures(fit, tmp_path, conditioning):
    fit(conditioning=conditioning)
    classes = {f"{kind}_{name}" for kind in ("samples", "real_and_synthetic") for name in ("benign", "malignant")}
    assert {f"{name}.png" for name in classes | {"losses"}} == {path.name for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert picture.size[0] > 300
            assert len(picture.convert("RGB").getcolors(10**6)) > 5


def test_a_class_may_have_any_name(fit, tmp_path):
    fit(real((2, 2, 2), classes=("a/b", "a b", "../$x^")))
    assert 7 == len(list(tmp_path.iterdir()))


def test_looking_at_the_training_does_not_change_it(fit, monkeypatch):
    looked = fit().sample(0, 2, 0)
    monkeypatch.setattr("lesionbench_progressive_gan.schedule.Schedule.picture_steps", lambda self: [8])
    assert np.array_equal(looked, fit().sample(0, 2, 0))


@pytest.mark.parametrize("learning_rate", [float("inf"), 1e38])
def test_a_training_that_diverges_says_so(fit, learning_rate):
    with pytest.raises(TrainingDiverged, match="must stay finite"):
        fit(learning_rate=learning_rate)


def test_bf16_trains_and_differs_from_fp32(fit):
    assert not np.array_equal(fit(precision="bf16").sample(0, 4, 0), fit().sample(0, 4, 0))


def test_torchs_global_state_is_left_alone(fit):
    torch.manual_seed(1)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit().sample(0, 2, 0)
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("conditioning", "steps", "learning_rate"),
    [("per-class", 80, 0.01), pytest.param("auxiliary", 500, 0.003, marks=pytest.mark.slow)],
)
def test_training_makes_images_of_the_classs_own_brightness(fit, conditioning, steps, learning_rate):
    wide = {"width": 16, "base": 256, "ema": 0.9}
    sampler = fit(real((8, 8)), steps=steps, conditioning=conditioning, learning_rate=learning_rate, **wide)
    dark, bright = (float(sampler.sample(label, 16, 0).mean()) for label in (0, 1))
    assert dark + 20 < bright
