from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lesionbench import LabelledImages, RunContext, TrainingDiverged, TrainingSet
from lesionbench.testing import Reports, classifier_checks
from lesionbench_paper_cnns import FridAdarCnn
from lesionbench_paper_cnns.frid_adar_cnn import Centre, frid_adar_network, mean_image, steps_of

# Figure 2 without padding: a convolution has 3 * 3 * inputs * outputs weights and a bias an output.
FIGURE_2 = [
    ("conv1", (32, 62, 62), 3 * 3 * 1 * 32 + 32),
    ("pool1", (32, 31, 31), 0),
    ("conv2", (64, 29, 29), 3 * 3 * 32 * 64 + 64),
    ("pool2", (64, 14, 14), 0),
    ("conv3", (128, 12, 12), 3 * 3 * 64 * 128 + 128),
    ("pool3", (128, 6, 6), 0),
    ("flatten", (4608,), 0),
    ("dense1", (256,), 4608 * 256 + 256),
    ("dense2", (3,), 256 * 3 + 3),
]


class SmallBatches(FridAdarCnn):
    """With defaults that take little time."""

    batch_size: int = 4
    size: int = 32


@pytest.mark.parametrize("check", classifier_checks(), ids=lambda check: check.__name__)
def test_frid_adar_cnn_keeps_the_contract(check):
    check(FridAdarCnn if check.__module__.endswith("settings") else SmallBatches)


def network(channels=1, outputs=3, size=64):
    return frid_adar_network(torch.full((channels, size, size), 0.5), outputs, dropout=0.5)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def labelled(count, start=0, classes=3, size=24, channels=1):
    """Images whose class is the place of a bright stripe."""
    rng = np.random.default_rng(start)
    labels = np.arange(count, dtype=np.int64) % classes
    images = rng.integers(0, 60, (count, size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, label * size // classes : (label + 1) * size // classes] += 150
    positions = np.arange(start, start + count, dtype=np.int64)
    return LabelledImages(images, labels, positions, positions.astype(str), ("a", "b", "c")[:classes])


def fit(tmp_path, seed=1, classes=3, size=24, channels=1, synthetic=None, reports=None, **settings):
    real, validation = (labelled(count, count, classes, size, channels) for count in (60, 30))
    made = labelled(synthetic or 0, 500, classes, size, channels)
    train = TrainingSet(real, made.images, made.labels, validation)
    context = RunContext(seed, "cpu", "fp32", tmp_path, reports or Reports())
    few = {"steps": 40, "batch_size": 16, "evaluate_every": 10, "size": 24, "learning_rate": 0.01}
    return FridAdarCnn(**few | settings).fit(train, context)


def test_the_network_has_the_papers_1273347_parameters():
    assert 1_273_347 == sum(count for _, _, count in FIGURE_2)
    assert 1_273_347 == parameters(network())


def test_every_layer_has_the_shape_and_parameters_of_figure_2():
    values, found = torch.zeros(1, 1, 64, 64), []
    for name, layer in network().eval().named_children():
        values = layer(values)
        if name in dict.fromkeys(row[0] for row in FIGURE_2):
            found.append((name, tuple(values.shape[1:]), parameters(layer)))
    assert FIGURE_2 == found


@pytest.mark.parametrize("size", [22, 23, 33, 65])
def test_the_network_fits_other_sizes(size):
    assert (2, 2) == tuple(network(3, 2, size)(torch.zeros(2, 3, size, size)).shape)


def test_the_smallest_size_is_22():
    with pytest.raises(ValidationError, match="22"):
        FridAdarCnn(size=21)


def test_initial_weights_are_glorot_uniform_and_biases_zero():
    layer = network().dense1
    bound = (6 / (4608 + 256)) ** 0.5
    assert bound == pytest.approx(layer.weight.abs().max().item(), rel=1e-3)
    assert 0 == layer.bias.abs().max().item()


def test_the_mean_image_is_pixel_wise_and_in_0_to_1():
    images = np.zeros((2, 2, 2, 1), np.uint8)
    images[0, 0, 1, 0], images[1, 0, 1, 0] = 255, 51
    assert torch.equal(torch.tensor([[[0, 0.6], [0, 0]]]), mean_image(images, 2))


def test_white_and_black_pixels_are_centred_at_1_and_0_less_the_mean():
    centred = Centre(torch.full((1, 1, 2), 0.25))(torch.tensor([[[[1.0, -1.0]]]]))
    assert [0.75, -0.25] == centred.flatten().tolist()


def test_predict_subtracts_the_mean_of_the_training_images_real_and_synthetic(tmp_path):
    for synthetic in (0, 30):
        images = [labelled(60, 60).images, labelled(synthetic, 500).images]
        expected = mean_image(np.concatenate(images), 24)
        assert torch.equal(expected, fit(tmp_path, steps=1, synthetic=synthetic).network.centre.mean)


@pytest.mark.parametrize(("classes", "channels"), [(2, 3), (2, 1), (3, 3), (3, 1)])
def test_the_place_of_a_stripe_is_learned_in_forty_steps(tmp_path, classes, channels):
    predictor = fit(tmp_path, classes=classes, channels=channels)
    images = labelled(60, 2000, classes, channels=channels)
    assert (predictor.predict(images.images).argmax(axis=1) == images.labels).mean() > 0.95


def test_there_is_one_output_a_class_also_for_two_classes(tmp_path):
    assert 2 == fit(tmp_path, classes=2, steps=1).network.dense2.out_features


@pytest.mark.parametrize(("images", "steps"), [(64, 150), (65, 300), (128, 300), (10_000, 23_550), (16_000, 37_500)])
def test_150_epochs_are_as_many_steps_as_the_paper_made(images, steps):
    assert steps == steps_of(FridAdarCnn(epochs=150), images)


def test_epochs_decide_the_number_of_steps_when_given(tmp_path):
    reports = Reports()
    fit(tmp_path, epochs=2, synthetic=9, reports=reports)  # 69 images are 5 batches of 16
    assert (10, 10) == reports.rows[-1][:2]


def test_momentum_0_is_plain_sgd(tmp_path):
    assert (30, 3) == fit(tmp_path, momentum=0, steps=2).predict(labelled(30).images).shape


def test_images_of_another_size_are_resized_and_the_log_says_so_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        predictor = fit(tmp_path, size=48, steps=1)
        predictor.predict(labelled(6, 2000, size=48).images)
    expected = ["frid-adar-cnn resizes images of 48x48 to 24x24 pixels"]
    assert expected == [record.getMessage() for record in caplog.records]


def test_an_infinite_learning_rate_is_a_diverged_training(tmp_path):
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        fit(tmp_path, learning_rate=float("inf"))
