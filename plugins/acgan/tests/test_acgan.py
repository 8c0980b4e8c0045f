from __future__ import annotations

import logging
import subprocess
import sys
from itertools import islice
from math import log

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from lesionbench import ContractError, InputError, LabelledImages, RunContext, TrainingDiverged
from lesionbench.testing import augmenter_checks
from lesionbench.torchkit.sampling import CHUNK
from lesionbench.torchkit.training import balanced_batches, batches, torch_session
from lesionbench_acgan import Acgan
from lesionbench_acgan.networks import Blueprint
from lesionbench_acgan.pair import Pair, Real, discriminator_losses, generator_loss

QUICK = {"steps": 2, "batch_size": 4, "size": 16, "width": 4}


def real(counts=(5, 3), height=16, width=16, channels=3, classes=("benign", "malignant", "other")):
    """Noise around another grey a class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(0).integers(0, 60, (len(labels), height, width, channels))
    images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
    numbers = np.arange(len(labels))
    return LabelledImages(images, labels, numbers, numbers.astype(str), tuple(classes[: len(counts)]))


@pytest.fixture
def fit(tmp_path):
    def fitted(images=None, seed=0, report=lambda step, total, **scalars: None, precision="fp32", **settings):
        context = RunContext(seed, "cpu", precision, tmp_path, report)
        return Acgan(**(QUICK | settings)).fit(images or real(), context)

    return fitted


class SmallBatches(Acgan):
    """With a default that takes little time."""

    batch_size: int = 4


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
def test_acgan_keeps_the_contract(check):
    check(Acgan if check.__module__.endswith("settings") else SmallBatches)


def test_importing_the_plugin_loads_neither_torch_nor_numpy():
    code = "import sys, lesionbench_acgan; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_a_fit_does_not_import_torchs_compiler(tmp_path):
    code = f"""
import sys
from pathlib import Path
from lesionbench import RunContext
from lesionbench.testing import tiny_images
from lesionbench_acgan import Acgan
for architecture in ("frid-adar", "odena"):
    augmenter = Acgan(architecture=architecture, steps=1, batch_size=2, size=16, width=4)
    context = RunContext(0, "cpu", "fp32", Path({str(tmp_path)!r}), lambda step, total, **losses: None)
    augmenter.fit(tiny_images(), context).sample(0, 2, 0)
print("torch" in sys.modules, *{{"torch._dynamo", "torch._inductor", "sympy"}} & {{*sys.modules}})
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "True" == answer.stdout.strip()


def test_every_setting_is_described():
    assert all(field.description for field in Acgan.model_fields.values())


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch_size": 1}, {"learning_rate": 0}, {"beta1": 1}, {"architecture": "kth"}, {"width": 0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        Acgan(**wrong)


@pytest.mark.parametrize("size", [8, 48, 65, 512])
def test_a_size_that_is_no_power_of_two_from_16_to_256_is_refused(size):
    with pytest.raises(ValidationError, match="size"):
        Acgan(size=size)


def test_the_discriminator_minimises_the_source_loss_and_both_class_losses():
    # Real is believed with odds 3:1, so -ln(3/4); synthetic with odds 1:1, so -ln(1/2).
    # The class of the real image has odds 3:1 and that of the synthetic image 1:3, so -ln(3/4) and -ln(1/4).
    real_, fake = torch.tensor([log(3)]), torch.tensor([0.0])
    of_real, of_fake = torch.tensor([[0.0, log(3)]]), torch.tensor([[log(3), 0.0]])
    losses = discriminator_losses((real_, of_real), (fake, of_fake), torch.tensor([1]))
    expected = {
        "source_loss": log(4 / 3) + log(2),
        "class_loss_real": log(4 / 3),
        "class_loss_synthetic": log(4),
    }
    assert pytest.approx(expected) == {name: loss.item() for name, loss in losses.items()}


def test_the_generator_minimises_not_being_believed_and_not_being_recognised():
    # Taken for real with odds 1:3 and of the right class with odds 3:1 against two others: -ln(1/4) - ln(3/5).
    judged = torch.tensor([-log(3)]), torch.tensor([[0.0, 0.0, log(3)]])
    assert generator_loss(judged, torch.tensor([2])).item() == pytest.approx(log(4) + log(5 / 3))


def test_every_batch_has_every_class_equally_often_whatever_the_proportions():
    labels = np.repeat([0, 1, 2], (1, 3, 12))
    order = list(islice(balanced_batches(labels, 6, 0), 8))
    assert [[2, 2, 2]] * 8 == [np.bincount(labels[chosen]).tolist() for chosen in order]
    drawn = torch.cat(order).numpy()
    of_second = drawn[labels[drawn] == 1]
    assert [[1, 2, 3]] * 5 == [sorted(of_second[start : start + 3].tolist()) for start in range(0, 15, 3)]


def pair_of(tmp_path, batch, **settings):
    chosen = Acgan(**(QUICK | {"batch_size": len(batch[1])} | settings))
    context = RunContext(0, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)
    plan = Blueprint.of(chosen, batch[0].shape[1], 3)
    return Pair(chosen, plan, Real(batches(1, 1, 0), lambda _: batch), 0, context)


@pytest.mark.parametrize("architecture", ["frid-adar", "odena"])
def test_the_synthetic_batch_has_the_labels_of_the_real_one(tmp_path, architecture):
    labels = torch.tensor([2, 0, 0, 1, 2])
    asked = []
    with torch_session(0):
        pair = pair_of(tmp_path, (torch.zeros(5, 1, 16, 16), labels), architecture=architecture)
        pair.generator.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[1]))
        losses = pair.step()
    assert 1 == len(asked)
    assert torch.equal(labels, asked[0])
    assert {"generator_loss", "discriminator_loss", "class_loss_real", "class_loss_synthetic"} == set(losses)


def test_a_step_changes_both_networks(tmp_path):
    with torch_session(0):
        pair = pair_of(tmp_path, (torch.zeros(4, 1, 16, 16), torch.tensor([0, 1, 2, 0])))
        before = [network.state_dict()[name].clone() for network, name in parts(pair)]
        pair.step()
        after = [network.state_dict()[name] for network, name in parts(pair)]
    assert not any(map(torch.equal, before, after))


def parts(pair):
    generator, discriminator = pair.generator, pair.discriminator
    return [(generator, "condition.weight"), (generator, "main.2.weight"), (discriminator, "heads.weight")]


def test_the_same_seed_learns_and_draws_the_same_images(fit):
    assert np.array_equal(fit(seed=3).sample(1, 6, 9), fit(seed=3).sample(1, 6, 9))


def test_another_seed_of_the_fit_or_of_the_draw_gives_other_images(fit):
    one = fit(seed=3)
    assert not np.array_equal(one.sample(0, 6, 9), fit(seed=4).sample(0, 6, 9))
    assert not np.array_equal(one.sample(0, 6, 9), one.sample(0, 6, 10))


def test_a_smaller_dose_is_the_beginning_of_a_larger_one_bit_for_bit(fit):
    sampler = fit()
    most = sampler.sample(0, 480, 1)
    for count in (0, 1, CHUNK - 1, CHUNK + 1, 120):
        assert np.array_equal(most[:count], sampler.sample(0, count, 1))
    assert 480 == len(np.unique(most.reshape(480, -1), axis=0))


def test_a_label_that_was_not_trained_is_refused(fit):
    with pytest.raises(ContractError, match=r"must lie in 0\.\.1, not 2"):
        fit().sample(2, 1, 0)


@pytest.mark.parametrize("architecture", ["frid-adar", "odena"])
@pytest.mark.parametrize("shape", [(16, 16, 3), (20, 45, 1)])
def test_a_loaded_sampler_draws_the_same_images_whatever_the_settings_that_load_it(fit, tmp_path, shape, architecture):
    sampler = fit(real((3, 3, 2), *shape), architecture=architecture)
    sampler.save(tmp_path)
    loaded = Acgan().load(tmp_path)
    for label in (0, 1, 2):
        assert np.array_equal(sampler.sample(label, CHUNK + 1, 4), loaded.sample(label, CHUNK + 1, 4))


@pytest.mark.parametrize("shape", [(48, 48, 1), (20, 45, 3)])
def test_images_of_another_size_are_resized_and_that_is_said_once(fit, caplog, shape):
    with caplog.at_level(logging.INFO, "lesionbench"):
        drawn = fit(real((3, 3), *shape)).sample(1, 3, 0)
    assert (3, *shape) == drawn.shape
    height, width, _ = shape
    expected = f"acgan learns at 16 x 16: the {height} x {width} training images are resized, and its images back"
    assert [expected] == caplog.messages


def test_nothing_is_said_about_images_of_the_networks_size(fit, caplog):
    with caplog.at_level(logging.INFO, "lesionbench"):
        fit()
    assert [] == caplog.messages


@pytest.mark.parametrize("counts", [(3,), (1, 1), (9, 1, 2)])
def test_any_number_of_classes_of_any_size_is_learned(fit, counts):
    sampler = fit(real(counts))
    assert all((2, 16, 16, 3) == sampler.sample(label, 2, 0).shape for label in range(len(counts)))


def test_a_class_without_images_is_named_before_anything_is_trained(fit, tmp_path):
    with pytest.raises(InputError, match=r"acgan needs at least 1 .* 'malignant' has 0"):
        fit(real((4, 0)))
    assert [] == list(tmp_path.iterdir())


def test_the_steps_are_counted_once_for_all_classes(fit):
    rows = []
    fit(report=lambda step, total, **scalars: rows.append((step, total, set(scalars))), steps=12)
    assert sorted({step for step, _, _ in rows}) == [step for step, _, _ in rows]
    assert 12 == rows[-1][0]
    assert {12} == {total for _, total, _ in rows}
    names = {"generator_loss", "discriminator_loss", "class_loss_real", "class_loss_synthetic"}
    assert all(names == scalars for _, _, scalars in rows)


def test_a_fit_leaves_its_pictures(fit, tmp_path):
    fit(steps=3)
    classes = ("benign", "malignant")
    names = {"losses", *(f"{kind}_{name}" for kind in ("samples", "real_and_synthetic") for name in classes)}
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
    monkeypatch.setattr("lesionbench_acgan.fit.picture_steps", lambda steps: [0])
    assert np.array_equal(looked, fit(steps=3).sample(0, 2, 0))


@pytest.mark.parametrize("learning_rate", [float("inf"), 1e38])
def test_a_training_that_diverges_says_so(fit, learning_rate):
    with pytest.raises(TrainingDiverged, match="must stay finite"):
        fit(learning_rate=learning_rate, steps=5)


def test_bf16_trains_and_differs_from_fp32(fit):
    assert not np.array_equal(fit(precision="bf16").sample(0, 4, 0), fit().sample(0, 4, 0))


def test_torchs_global_state_is_left_alone(fit):
    torch.manual_seed(1)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit().sample(0, 2, 0)
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_the_generator_learns_each_classs_own_brightness(fit):
    sampler = fit(real((8, 4)), steps=40, batch_size=16, learning_rate=0.003, width=8)
    dark, bright = (float(sampler.sample(label, 16, 0).mean()) for label in (0, 1))  # the classes' means: 30 and 90
    assert bright - dark > 20
