from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from lesionbench import LabelledImages, RunContext, TrainingSet
from lesionbench.builtin import linear_fit
from lesionbench.builtin.linear import Linear
from lesionbench.errors import ContractError
from lesionbench.testing import Reports, classifier_checks


@pytest.mark.parametrize("check", classifier_checks(), ids=lambda check: check.__name__)
def test_linear_keeps_the_contract(check):
    check(Linear)


def labelled(count, start=0, classes=2, size=16, channels=3):
    """Images whose class is the place of a bright stripe."""
    rng = np.random.default_rng(start)
    labels = np.arange(count, dtype=np.int64) % classes
    images = rng.integers(0, 100, (count, size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, label * size // classes : (label + 1) * size // classes] += 60
    return of(images, labels, start, classes)


def of(images, labels, start=0, classes=2):
    positions = np.arange(start, start + len(images), dtype=np.int64)
    return LabelledImages(images, labels, positions, positions.astype(str), ("a", "b", "c")[:classes])


def fit(tmp_path, real, synthetic=None, seed=1, reports=None, **settings):
    synthetic = synthetic or real.take(np.arange(0))
    train = TrainingSet(real, synthetic.images, synthetic.labels, real)
    return Linear(**settings).fit(train, RunContext(seed, "cpu", "fp32", tmp_path, reports or Reports()))


@pytest.mark.parametrize(("classes", "channels"), [(2, 3), (2, 1), (3, 3), (3, 1)])
def test_the_place_of_a_stripe_is_learned(tmp_path, classes, channels):
    predictor = fit(tmp_path, labelled(60, classes=classes, channels=channels))
    images = labelled(60, 2000, classes, channels=channels)
    assert 1.0 == (predictor.predict(images.images).argmax(axis=1) == images.labels).mean()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_scores_are_those_of_scikit_learns_own_pipeline(tmp_path, classes):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    real, images = labelled(60, classes=classes, size=8), labelled(20, 2000, classes, size=8).images
    inverse = 1 / (0.1 * 60)  # the penalty stands beside the mean loss of 60 images
    pipeline = make_pipeline(PCA(5, whiten=True, random_state=1), LogisticRegression(C=inverse, tol=1e-8))
    pipeline.fit(real.images.reshape(60, -1) / 255, real.labels)
    scores = fit(tmp_path, real, components=5, size=8, regularisation=0.1).predict(images)
    np.testing.assert_allclose(scores, pipeline.predict_proba(images.reshape(20, -1) / 255), atol=1e-4)


def test_two_images_have_one_component_and_no_division_by_zero(tmp_path):
    two = labelled(2)
    assert [0, 1] == fit(tmp_path, two).predict(two.images).argmax(axis=1).tolist()


def test_images_that_are_all_alike_score_their_classes_share(tmp_path):
    alike = of(np.full((8, 16, 16, 1), 77, np.uint8), np.array([0, 0, 0, 1, 0, 0, 0, 1]))
    np.testing.assert_allclose(fit(tmp_path, alike).predict(alike.images), [[0.75, 0.25]] * 8, atol=1e-4)


def test_every_image_twice_gives_the_same_predictor(tmp_path):
    real, images = labelled(30, size=8), labelled(20, 2000, size=8).images
    once, twice = fit(tmp_path, real, size=8), fit(tmp_path, real, synthetic=real, size=8)
    np.testing.assert_allclose(once.predict(images), twice.predict(images), atol=1e-3)


def test_a_class_without_images_is_named(tmp_path):
    with pytest.raises(ContractError, match="every class, but b has none"):
        fit(tmp_path, labelled(9).take(np.array([0, 2, 4])))


def test_an_image_is_scored_the_same_to_the_last_bit_alone_and_among_others(tmp_path):
    predictor, images = fit(tmp_path, labelled(30)), labelled(100, 2000).images
    together = predictor.predict(images)
    np.testing.assert_array_equal(together[::-1], predictor.predict(images[::-1]))
    np.testing.assert_array_equal(together[99:], predictor.predict(images[99:]))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_another_size_are_resized(tmp_path, channels):
    predictor = fit(tmp_path, labelled(30, size=48, channels=channels))
    assert (32 * 32 * channels, 2) == predictor.weights.shape
    assert (5, 2) == predictor.predict(labelled(5, size=20, channels=channels).images).shape


def test_half_grey_pixels_stay_half_grey_when_resized():
    rows = linear_fit.pixels(np.full((2, 40, 40, 3), 51, np.uint8), 4)
    np.testing.assert_array_equal(rows, np.full((2, 4 * 4 * 3), 0.2, np.float32))


def test_a_fit_that_does_not_converge_is_logged_and_never_a_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(linear_fit, "MOST_ITERATIONS", 1)
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, labelled(30))
    expected = "linear did not converge in 1 iterations; raise regularisation above 0.01 or lower components"
    assert [expected] == [record.getMessage() for record in caplog.records]


def test_almost_no_regularisation_converges(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, labelled(60), regularisation=1e-9, components=1000)
    assert [] == caplog.records


def test_the_loss_of_training_and_validation_images_is_reported_once(tmp_path):
    reports, real = Reports(), labelled(30)
    scores = fit(tmp_path, real, reports=reports).predict(real.images)
    loss = -np.log(scores[np.arange(30), real.labels]).mean()
    [(step, total, scalars)] = reports.rows
    assert step == total > 0
    assert {"loss": pytest.approx(loss), "validation_loss": pytest.approx(loss)} == scalars


def test_registering_imports_neither_sklearn_nor_numpy():
    code = (
        "import sys, lesionbench.builtin as p; p.register_classifiers(); print({'sklearn', 'numpy'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == answer.stdout.strip()
