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
from lesionbench.testing import augmenter_checks
from lesionbench.torchkit.sampling import CHUNK
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan import Dcgan
from lesionbench_dcgan.pair import Pair

QUICK = {"steps": 2, "batch_size": 4}


def real(counts=(5, 3), height=32, width=32, channels=3, classes=("benign", "malignant")):
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
        return Dcgan(**(QUICK | settings)).fit(images or real(), context)

    return fitted


class SmallBatches(Dcgan):
    """With a default that takes little time."""

    batch_size: int = 4


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
def test_dcgan_keeps_the_contract(check):
    check(Dcgan if check.__module__.endswith("settings") else SmallBatches)


def test_importing_the_plugin_loads_neither_torch_nor_numpy():
    code = "import sys, lesionbench_dcgan; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.parametrize("architecture", ["kth", pytest.param("frid-adar", marks=pytest.mark.slow)])
def test_a_fit_does_not_import_torchs_compiler(tmp_path, architecture):
    code = f"""
import sys
from pathlib import Path
from lesionbench import RunContext
from lesionbench.testing import tiny_images
from lesionbench_dcgan import Dcgan
context = RunContext(0, "cpu", "fp32", Path({str(tmp_path)!r}), lambda step, total, **losses: None)
Dcgan(architecture={architecture!r}, steps=1, batch_size=2).fit(tiny_images(1, per_class=2), context).sample(0, 2, 0)
print("torch" in sys.modules, *{{"torch._dynamo", "torch._inductor", "sympy"}} & {{*sys.modules}})
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "True" == answer.stdout.strip()


def test_every_setting_is_described():
    assert all(field.description for field in Dcgan.model_fields.values())


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch_size": 1}, {"learning_rate": 0}, {"beta1": 1}, {"architecture": "unet"}, {"step": 3}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        Dcgan(**wrong)


def test_the_same_seed_learns_and_draws_the_same_images(fit):
    assert np.array_equal(fit(seed=3).sample(1, 6, 9), fit(seed=3).sample(1, 6, 9))


def test_another_seed_of_the_fit_or_of_the_draw_gives_other_images(fit):
    one = fit(seed=3)
    assert not np.array_equal(one.sample(0, 6, 9), fit(seed=4).sample(0, 6, 9))
    assert not np.array_equal(one.sample(0, 6, 9), one.sample(0, 6, 10))


def test_two_classes_with_the_same_images_get_networks_and_noise_of_their_own(fit):
    images = real((4, 4))
    images = LabelledImages(
        np.concatenate([images.images[:4]] * 2), images.labels, images.groups, images.ids, images.classes
    )
    sampler = fit(images)
    one, other = (generator.state_dict()["main.0.weight"] for generator in sampler.generators)
    assert not torch.equal(one, other)
    assert not np.array_equal(sampler.sample(0, 4, 1), sampler.sample(1, 4, 1))


def test_a_smaller_dose_is_the_beginning_of_a_larger_one_bit_for_bit(fit):
    sampler = fit()
    most = sampler.sample(0, CHUNK + 5, 1)
    for count in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1):
        assert np.array_equal(most[:count], sampler.sample(0, count, 1))
    assert len(np.unique(most.reshape(len(most), -1), axis=0)) == len(most)


def test_a_label_that_was_not_trained_is_refused(fit):
    with pytest.raises(ContractError, match=r"must lie in 0\.\.1, not 2"):
        fit().sample(2, 1, 0)


@pytest.mark.parametrize("shape", [(32, 32, 3), (20, 45, 1)])
def test_a_loaded_sampler_draws_the_same_images_bit_for_bit(fit, tmp_path, shape):
    sampler = fit(real((3, 3), *shape))
    sampler.save(tmp_path)
    loaded = Dcgan().load(tmp_path)
    for label in (0, 1):
        assert np.array_equal(sampler.sample(label, CHUNK + 1, 4), loaded.sample(label, CHUNK + 1, 4))


def test_frid_adar_draws_grey_images_of_64_pixels_whatever_the_settings_that_load_it(fit, tmp_path):
    sampler = fit(real((2,), 64, 64, 1, ["cyst"]), architecture="frid-adar", steps=1, batch_size=2)
    sampler.save(tmp_path)
    assert (2, 64, 64, 1) == Dcgan(architecture="kth").load(tmp_path).sample(0, 2, 0).shape


@pytest.mark.parametrize("shape", [(48, 48, 1), (20, 45, 3)])
def test_images_of_another_size_are_resized_and_that_is_said_once(fit, caplog, shape):
    with caplog.at_level(logging.INFO, "lesionbench"):
        drawn = fit(real((3, 3), *shape)).sample(1, 3, 0)
    assert (3, *shape) == drawn.shape
    height, width, _ = shape
    expected = f"dcgan learns at 32 x 32: the {height} x {width} training images are resized, and its images back"
    assert [expected] == caplog.messages


def test_nothing_is_said_about_images_of_the_networks_size(fit, caplog):
    with caplog.at_level(logging.INFO, "lesionbench"):
        fit()
    assert [] == caplog.messages


@pytest.mark.parametrize("counts", [(1, 1), (2, 1)])
def test_a_class_may_be_smaller_than_the_batch(fit, counts):
    assert (2, 32, 32, 3) == fit(real(counts)).sample(0, 2, 0).shape


def test_a_class_without_images_is_named_before_anything_is_trained(fit, tmp_path):
    with pytest.raises(InputError, match=r"'malignant' has 0"):
        fit(real((4, 0)))
    assert [] == list(tmp_path.iterdir())


def test_the_steps_of_all_classes_are_counted_together(fit):
    rows = []
    fit(report=lambda step, total, **scalars: rows.append((step, total, scalars)), steps=12)
    counted = [step for step, _, _ in rows]
    assert sorted(set(counted)) == counted
    assert {24} == {total for _, total, _ in rows}
    assert 12 in counted
    assert 24 == counted[-1]
    assert {(step > 12) * 1.0 for step in counted} == {scalars["label"] for _, _, scalars in rows}
    assert all(scalars["label"] == (step > 12) for step, _, scalars in rows)
    assert all({"generator_loss", "discriminator_loss", "label"} == set(scalars) for _, _, scalars in rows)


def test_batch_norm_saw_every_step_of_the_generator(fit):
    for generator in fit(steps=3).generators:
        assert 3 == int(generator.state_dict()["main.1.num_batches_tracked"])


def test_a_fit_leaves_its_pictures(fit, tmp_path):
    fit(steps=3)
    names = {
        "losses",
        "samples_benign",
        "samples_malignant",
        "real_and_synthetic_benign",
        "real_and_synthetic_malignant",
    }
    assert {f"{name}.png" for name in names} == {path.name for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert picture.size[0] > 300
            assert len(picture.convert("RGB").getcolors(10**6)) > 5


def test_a_class_may_have_any_name(fit, tmp_path):
    fit(real((2, 2, 2), classes=("a/b", "a b", "../$x^")), steps=1)
    assert 7 == len(list(tmp_path.iterdir()))


def test_looking_at_the_training_does_not_change_it(fit, monkeypatch):
    looked = fit(steps=3).sample(0, 2, 0)
    monkeypatch.setattr("lesionbench_dcgan.fit.picture_steps", lambda steps: [0])
    assert np.array_equal(looked, fit(steps=3).sample(0, 2, 0))


@pytest.mark.parametrize("learning_rate", [float("inf"), 1e38])
def test_a_training_that_diverges_says_so(fit, learning_rate):
    with pytest.raises(TrainingDiverged, match="must stay finite"):
        fit(learning_rate=learning_rate, steps=5)


def test_weights_that_diverge_in_the_last_step_are_noticed(tmp_path):
    context = RunContext(0, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)
    with torch_session(0):
        pair = Pair(Dcgan(**QUICK), real().images, 0, context)
        pair.generator.main[-2].weight.data[0] = float("nan")
    with pytest.raises(TrainingDiverged, match=r"'main\.9\.weight' is not after step 7"):
        pair.weights(7)


def test_bf16_trains_and_differs_from_fp32(fit):
    assert not np.array_equal(fit(precision="bf16").sample(0, 4, 0), fit().sample(0, 4, 0))


def test_torchs_global_state_is_left_alone(fit):
    torch.manual_seed(1)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit().sample(0, 2, 0)
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_makes_images_of_the_classs_own_brightness(fit):
    sampler = fit(real((8, 8)), steps=30, batch_size=4, learning_rate=0.002)
    dark, bright = (float(sampler.sample(label, 16, 0).mean()) for label in (0, 1))
    assert dark < bright
