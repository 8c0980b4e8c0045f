from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench import LabelledImages, RunContext, TrainingDiverged
from lesionbench.pipeline.training_set import TrainingSet
from lesionbench.testing import classifier_checks
from lesionbench.torchkit.tensors import to_tensor
from lesionbench_acgan import Acgan, AcganDiscriminator

QUICK = {"steps": 2, "batch_size": 8, "size": 16, "width": 4}


@pytest.mark.parametrize("check", classifier_checks(), ids=lambda check: check.__name__)
def test_acgan_discriminator_keeps_the_contract(check):
    check(AcganDiscriminator)


def test_the_discriminator_has_the_settings_of_the_augmenter_and_fewer_steps():
    assert Acgan(steps=1).model_dump() == AcganDiscriminator(steps=1).model_dump()
    assert AcganDiscriminator().steps < Acgan().steps


def labelled(count, start=0, classes=2, size=16, channels=3):
    """Images whose class is the place of a bright bar."""
    rng = np.random.default_rng(start)
    labels = np.arange(count, dtype=np.int64) % classes
    images = rng.integers(0, 60, (count, size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, label * size // classes : (label + 1) * size // classes] += 150
    positions = np.arange(start, start + count, dtype=np.int64)
    return LabelledImages(images, labels, positions, positions.astype(str), ("a", "b", "c")[:classes])


def training_set(count=40, classes=2, size=16, channels=3):
    real = labelled(count, 0, classes, size, channels)
    return TrainingSet(real, real.images[:0], real.labels[:0], labelled(6, 1000, classes, size, channels))


def fit(tmp_path, train=None, seed=1, **settings):
    context = RunContext(seed, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)
    return AcganDiscriminator(**(QUICK | settings)).fit(train or training_set(), context)


@pytest.mark.parametrize("architecture", ["frid-adar", "odena"])
@pytest.mark.parametrize(("classes", "channels"), [(2, 3), (3, 1)])
def test_the_class_head_learns_to_tell_bars_apart(tmp_path, architecture, classes, channels):
    train = training_set(60, classes, 16, channels)
    predictor = fit(tmp_path, train, architecture=architecture, steps=30, batch_size=16, learning_rate=2e-3)
    unseen = labelled(60, 500, classes, 16, channels)
    scores = predictor.predict(unseen.images)
    assert (60, classes) == scores.shape
    assert (scores.argmax(axis=1) == unseen.labels).mean() > 0.9


def test_images_of_any_size_are_scored(tmp_path):
    predictor = fit(tmp_path)
    for height, width in ((16, 16), (64, 64), (20, 45)):
        scores = predictor.predict(np.zeros((2, height, width, 3), np.uint8))
        assert np.allclose(1, scores.sum(axis=1))


def test_batch_norm_scores_with_the_statistics_of_the_real_images_alone(tmp_path):
    train = training_set(count=8)  # one batch, so every batch has the same statistics
    network = fit(tmp_path, train).network.discriminator
    first = network.body[3]
    assert isinstance(first, nn.BatchNorm2d)
    with torch.no_grad():
        values = network.body[:3](to_tensor(train.real.images))
    assert torch.allclose(first.running_mean, values.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(first.running_var, values.var(dim=(0, 2, 3)), rtol=1e-3)


class Darker:
    """A transform that remembers what it was given."""

    def __init__(self):
        self.shapes, self.seeds = [], []

    def transform(self, images, seed):
        self.shapes.append(images.shape)
        self.seeds.append(seed)
        return images // 2


def test_every_real_batch_is_changed_on_the_fly_at_the_images_own_size(tmp_path):
    darker = Darker()
    fit(tmp_path, replace(training_set(size=24), on_the_fly=darker), steps=3)
    # Three batches to learn from, and three for batch norm's statistics.
    assert [(8, 24, 24, 3)] * 6 == darker.shapes
    assert 6 == len(set(darker.seeds))


def test_resizing_is_said_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "lesionbench"):
        fit(tmp_path, training_set(size=24)).predict(labelled(3, size=24).images)
    assert ["acgan-discriminator resizes images of 24x24 to 16x16 pixels"] == caplog.messages


def test_a_training_that_diverges_says_so(tmp_path):
    with pytest.raises(TrainingDiverged, match="must stay finite"):
        fit(tmp_path, learning_rate=1e38, steps=5)
