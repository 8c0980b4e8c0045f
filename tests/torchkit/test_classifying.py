from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench.errors import TrainingDiverged
from lesionbench.pipeline.context import RunContext
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.training_set import TrainingSet
from lesionbench.torchkit.classifying import REPORT_EVERY, Schedule, class_loss, fit_classifier, probabilities
from lesionbench.torchkit.optimizers import Adam
from lesionbench.torchkit.training import torch_session

CLASSES = ("dark", "bright", "middle")


class Reports:
    """Every report a fit made."""

    def __init__(self):
        self.calls = []

    def __call__(self, step, total, **scalars):
        self.calls.append((step, total, scalars))


def labelled(count, start=0, classes=2, flipped=False):
    """Images whose brightness is their class."""
    rng = np.random.default_rng(start)
    labels = np.arange(count, dtype=np.int64) % classes
    images = (np.array([40, 200, 120])[labels][:, None, None, None] + rng.integers(-20, 20, (count, 8, 8, 3))).astype(
        np.uint8
    )
    positions = np.arange(start, start + count, dtype=np.int64)
    if flipped:
        labels = 1 - labels
    return LabelledImages(images, labels, positions, positions.astype(str), CLASSES[:classes])


def training_set(classes=2, synthetic=0, **validation):
    real, extra = labelled(60, classes=classes), labelled(synthetic, 500, classes)
    return TrainingSet(real, extra.images, extra.labels, labelled(30, 1000, classes, **validation))


def network(outputs):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, outputs)
    )


def fit(
    train=None,
    seed=1,
    steps=40,
    evaluate_every=10,
    learning_rate=1e-2,
    precision="fp32",
    report=None,
    memory_format=torch.channels_last,
):
    train = train or training_set()
    context = RunContext(seed, "cpu", precision, None, report or Reports())
    outputs = 1 if len(train.classes) == 2 else len(train.classes)
    schedule = Schedule(steps, 16, evaluate_every, memory_format)
    return fit_classifier(
        partial(network, outputs), partial(Adam, learning_rate=learning_rate), train, context, schedule, 8
    )


def accuracy(predictor, images):
    return (predictor.predict(images.images).argmax(axis=1) == images.labels).mean()


@pytest.mark.parametrize("classes", [2, 3])
def test_brightness_is_learned_in_forty_steps(classes):
    assert 1.0 == accuracy(fit(training_set(classes)), labelled(30, 2000, classes))


def test_synthetic_images_are_learned_from():
    wrong = labelled(600, 500, flipped=True)
    real = labelled(60)
    train = TrainingSet(real, wrong.images, wrong.labels, labelled(30, 1000, flipped=True))
    assert accuracy(fit(train), labelled(30, 2000)) < 0.1


def test_the_steps_are_counted_whatever_the_number_of_images():
    few, many = Reports(), Reports()
    fit(report=few)
    fit(training_set(synthetic=300), report=many)
    assert [call[:2] for call in few.calls] == [call[:2] for call in many.calls]
    assert (40, 40) == few.calls[-1][:2]


def test_reports_come_every_25_steps_and_at_every_evaluation():
    report = Reports()
    fit(steps=60, evaluate_every=40, report=report)
    assert [REPORT_EVERY, 40, 2 * REPORT_EVERY, 60] == [step for step, _, _ in report.calls]
    assert [False, True, False, True] == ["validation_loss" in scalars for _, _, scalars in report.calls]
    assert all("loss" in scalars for _, _, scalars in report.calls)


def test_the_first_evaluation_is_kept_when_validation_only_gets_worse():
    report, train = Reports(), training_set(flipped=True)
    long = fit(train, steps=40, evaluate_every=5, report=report)
    losses = [scalars["validation_loss"] for _, _, scalars in report.calls if "validation_loss" in scalars]
    assert losses[0] == min(losses) < losses[-1]
    assert 5 == report.calls[-1][2]["best_step"]
    short = fit(train, steps=5, evaluate_every=5)
    images = labelled(30, 2000).images
    np.testing.assert_array_equal(short.predict(images), long.predict(images))


def test_one_seed_gives_the_same_scores_and_another_seed_others():
    images = labelled(30, 2000).images
    one, same, other = (fit(seed=seed).predict(images) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("synthetic", [0, 40])
def test_the_first_weights_do_not_depend_on_the_training_images(synthetic):
    seen = []

    def spy():
        made = network(1)
        seen.append(made[0].weight.detach().clone())
        return made

    context = RunContext(7, "cpu", "fp32", None, Reports())
    fit_classifier(spy, Adam, training_set(synthetic=synthetic), context, Schedule(1, 4, 1), 8)
    with torch_session(7):
        assert torch.equal(network(1)[0].weight, seen[0])


@pytest.mark.parametrize("learning_rate", [float("inf"), 1e30])
def test_a_learning_rate_that_explodes_is_a_diverged_training(learning_rate):
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        fit(learning_rate=learning_rate)


def test_a_last_step_that_breaks_the_weights_is_a_diverged_training():
    with pytest.raises(TrainingDiverged, match="validation_loss"):
        fit(steps=1, learning_rate=float("inf"))


def test_an_image_is_scored_the_same_alone_and_among_others():
    predictor, images = fit(), labelled(150, 2000).images
    together = predictor.predict(images)
    np.testing.assert_array_equal(together[:1], predictor.predict(images[:1]))
    np.testing.assert_array_equal(together[::-1], predictor.predict(images[::-1]))
    np.testing.assert_array_equal(together[70:], predictor.predict(images[70:]))


def test_images_of_another_size_are_resized_for_training_and_for_scoring():
    big = [part.images.repeat(4, axis=1).repeat(3, axis=2) for part in (labelled(60), labelled(30, 1000))]
    real, validation = (
        LabelledImages(images, part.labels, part.groups, part.ids, part.classes)
        for images, part in zip(big, (labelled(60), labelled(30, 1000)), strict=True)
    )
    predictor = fit(TrainingSet(real, real.images[:0], real.labels[:0], validation))
    assert 1.0 == accuracy(predictor, validation)


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_probabilities_and_no_images_give_no_rows(classes):
    predictor = fit(training_set(classes), steps=2)
    scores = predictor.predict(labelled(9, 2000, classes).images)
    assert (np.float64, (9, classes)) == (scores.dtype, scores.shape)
    assert abs(scores.sum(axis=1) - 1).max() < 1e-12
    none = predictor.predict(labelled(9, 2000, classes).images[:0])
    assert (np.float64, (0, classes)) == (none.dtype, none.shape)


def test_fitting_and_predicting_leave_torch_as_it_was():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    fit(steps=3).predict(labelled(3, 2000).images)
    assert threads == torch.get_num_threads()
    assert torch.equal(state, torch.get_rng_state())


def test_bf16_learns_too_and_validates_in_bf16():
    half, single = Reports(), Reports()
    assert accuracy(fit(precision="bf16", report=half), labelled(30, 2000)) > 0.9
    fit(precision="fp32", report=single)
    first, other = (reports.calls[0][2]["validation_loss"] for reports in (half, single))
    assert 0 < abs(first - other) < 0.05


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_trains_in_another_memory_format_to_about_the_same_weights(monkeypatch, precision):
    monkeypatch.setattr(nn, "Dropout", lambda _: nn.Identity())  # its draws go to other values in another format
    one, other = (
        fit(steps=10, precision=precision, memory_format=memory_format)
        for memory_format in (torch.channels_last, torch.contiguous_format)
    )
    first, second = (predictor.network[0].weight for predictor in (one, other))
    assert first.stride() == second.stride()  # images are scored alike
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    assert torch.equal(first, second) == (precision == "bf16")  # which always trains channels last


@pytest.mark.parametrize("logits", [[[1000.0]], [[-1000.0]], [[0.3]], [[1000.0, 0.0, -1000.0]]])
def test_extreme_logits_still_give_rows_that_sum_to_one(logits):
    assert 1.0 == pytest.approx(probabilities(torch.tensor(logits)).sum().item(), abs=1e-12)


def test_one_logit_and_two_logits_of_the_same_odds_have_the_same_loss():
    logits, labels = torch.tensor([[0.7], [-2.0]]), torch.tensor([1, 1])
    pair = torch.cat([torch.zeros_like(logits), logits], dim=1)
    torch.testing.assert_close(class_loss(pair, labels), class_loss(logits, labels))
