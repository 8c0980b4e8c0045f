from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench import LabelledImages, RunContext, TrainingDiverged, TrainingSet
from lesionbench.testing import Reports, classifier_checks
from lesionbench.torchkit.training import batches, torch_session
from lesionbench_paper_cnns import KthCnn
from lesionbench_paper_cnns.dropout import ReluDropout
from lesionbench_paper_cnns.kth_cnn import kth_network

# The last lines of the report's appendix, channels first.
APPENDIX = [
    ("conv1", (32, 32, 32), 896),
    ("pool1", (32, 16, 16), 0),
    ("dropout1", (32, 16, 16), 0),
    ("conv2", (64, 15, 15), 8256),
    ("pool2", (64, 8, 8), 0),
    ("dropout2", (64, 8, 8), 0),
    ("conv3", (128, 7, 7), 32896),
    ("pool3", (128, 3, 3), 0),
    ("dropout3", (128, 3, 3), 0),
    ("conv4", (128, 2, 2), 65664),
    ("dropout4", (128, 2, 2), 0),
    ("flatten", (512,), 0),
    ("dense", (1,), 513),
]


class SmallBatches(KthCnn):
    """With defaults that take little time."""

    batch_size: int = 4


@pytest.mark.parametrize("check", classifier_checks(), ids=lambda check: check.__name__)
def test_kth_cnn_keeps_the_contract(check):
    check(KthCnn if check.__module__.endswith("settings") else SmallBatches)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def labelled(count, start=0, classes=2, size=32, channels=3):
    """Images whose class is the place of a bright square."""
    rng = np.random.default_rng(start)
    labels = np.arange(count, dtype=np.int64) % classes
    images = rng.integers(0, 60, (count, size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 : size // 2, label * size // classes : (label + 1) * size // classes] += 150
    positions = np.arange(start, start + count, dtype=np.int64)
    return LabelledImages(images, labels, positions, positions.astype(str), ("a", "b", "c")[:classes])


def fit(tmp_path, seed=1, classes=2, size=32, channels=3, **settings):
    real, validation = (labelled(count, count, classes, size, channels) for count in (60, 30))
    train = TrainingSet(real, real.images[:0], real.labels[:0], validation)
    context = RunContext(seed, "cpu", "fp32", tmp_path, lambda step, total, **scalars: None)
    return KthCnn(**{"steps": 40, "batch_size": 16, "evaluate_every": 10} | settings).fit(train, context)


def accuracy(predictor, images):
    return (predictor.predict(images.images).argmax(axis=1) == images.labels).mean()


def test_the_network_has_the_reports_108225_parameters():
    assert 108_225 == parameters(kth_network(channels=3, outputs=1, dropout=0.25))


def test_every_layer_has_the_shape_and_parameters_of_the_reports_appendix():
    values, found = torch.zeros(1, 3, 32, 32), []
    for name, layer in kth_network(channels=3, outputs=1, dropout=0.25).eval().named_children():
        values = layer(values)
        if not name.startswith("relu"):
            found.append((name, tuple(values.shape[1:]), parameters(layer)))
    assert APPENDIX == found


@pytest.mark.parametrize("size", [20, 21, 27, 33, 64, 65])
def test_the_network_fits_other_sizes(size):
    network = kth_network(channels=1, outputs=3, dropout=0.25, size=size)
    assert (2, 3) == tuple(network(torch.zeros(2, 1, size, size)).shape)


@pytest.mark.parametrize(("classes", "channels"), [(2, 3), (2, 1), (3, 3), (3, 1)])
def test_the_place_of_a_square_is_learned_in_forty_steps(tmp_path, classes, channels):
    predictor = fit(tmp_path, classes=classes, channels=channels)
    assert accuracy(predictor, labelled(60, 2000, classes, channels=channels)) > 0.95


def test_images_of_another_size_are_resized_and_the_log_says_so_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        predictor = fit(tmp_path, size=48)
        scores = predictor.predict(labelled(60, 2000, size=48).images)
    assert ["kth-cnn resizes images of 48x48 to 32x32 pixels"] == [record.getMessage() for record in caplog.records]
    assert (60, 2) == scores.shape


def test_one_seed_gives_the_same_scores_and_another_seed_others(tmp_path):
    images = labelled(10, 2000).images
    one, same, other = (fit(tmp_path, seed=seed, steps=5).predict(images) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_an_image_is_scored_the_same_alone_and_among_others(tmp_path):
    predictor, images = fit(tmp_path, steps=10), labelled(100, 2000).images
    together = predictor.predict(images)
    np.testing.assert_array_equal(together[::-1], predictor.predict(images[::-1]))
    np.testing.assert_array_equal(together[99:], predictor.predict(images[99:]))


def test_an_infinite_learning_rate_is_a_diverged_training(tmp_path):
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        fit(tmp_path, learning_rate=float("inf"))


@pytest.mark.parametrize("rate", [0.25, 0.3, 0.5])
def test_dropout_drops_its_rate_and_keeps_the_mean(rate):
    with torch_session(1):
        dropped = ReluDropout(rate)(torch.ones(200_000))
    assert [0.0, pytest.approx(1 / (1 - rate))] == dropped.unique().tolist()
    assert rate == pytest.approx((dropped == 0).float().mean().item(), abs=0.005)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_passes_gradients_where_it_passes_positive_values(dtype):
    with torch_session(1):
        values = torch.randn(4, 8, 5, 5, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        dropped = ReluDropout(0.5)(values)
        gradient = torch.randn_like(dropped)
        dropped.backward(gradient)
    assert 0.2 < (dropped > 0).float().mean() < 0.3
    assert torch.equal(dropped, torch.where(dropped > 0, 2 * values, 0))
    assert torch.equal(values.grad, torch.where(dropped > 0, 2 * gradient, 0))
    assert dropped.is_contiguous(memory_format=torch.channels_last)


def test_each_value_is_dropped_by_itself():
    with torch_session(1):
        kept = ReluDropout(0.5)(torch.ones(64, 4096)) > 0
    found = torch.corrcoef(kept.float()) - torch.eye(64)
    assert found.abs().max() < 0.08  # five standard deviations


def test_dropout_drops_nothing_when_scoring():
    values = torch.randn(5)
    assert torch.equal(values.relu(), ReluDropout(0.5).eval()(values))


def plain_network():
    """The report's layers as one would write them: the ReLU before the pool."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
        *(nn.Conv2d(64, 128, 2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(128, 128, 2), nn.ReLU(), nn.Flatten(), nn.Linear(512, 1)),
    )


def test_the_losses_of_50_steps_are_those_of_a_plain_loop(tmp_path):
    real, validation, reports = labelled(60), labelled(10, 60), Reports()
    context = RunContext(3, "cpu", "fp32", tmp_path, reports)
    train = TrainingSet(real, real.images[:0], real.labels[:0], validation)
    KthCnn(steps=50, batch_size=16, evaluate_every=1, dropout=0).fit(train, context)

    expected, order = [], batches(60, 16, 3)
    images = torch.from_numpy(real.images.transpose(0, 3, 1, 2) / 127.5 - 1).float()
    labels = torch.from_numpy(real.labels.copy()).float()
    with torch_session(3):
        network = plain_network()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(50):
            chosen = next(order)
            logits = network(images[chosen]).flatten()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    assert expected == pytest.approx([scalars["loss"] for _, _, scalars in reports.rows], abs=1e-4)
    assert expected[-1] < 0.1 < expected[0]


def test_registering_imports_neither_torch_nor_numpy():
    code = (
        "import sys, lesionbench_paper_cnns as p; p.register_classifiers(); print({'torch', 'numpy'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == answer.stdout.strip()


def test_a_fit_does_not_import_torchs_compiler(tmp_path):
    code = f"""
import sys
from pathlib import Path
from lesionbench import RunContext
from lesionbench.testing import tiny_training_set
from lesionbench_paper_cnns import FridAdarCnn, KthCnn
for precision in ("fp32", "bf16"):
    for classifier in (KthCnn(steps=1, batch_size=2), FridAdarCnn(steps=1, batch_size=2, size=24)):
        context = RunContext(0, "cpu", precision, Path({str(tmp_path)!r}), lambda step, total, **losses: None)
        classifier.fit(tiny_training_set(), context)
print("torch" in sys.modules, *{{"torch._dynamo", "torch._inductor", "sympy"}} & {{*sys.modules}})
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "True" == answer.stdout.strip()
