from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field, PrivateAttr

from lesionbench import Classifier
from lesionbench.testing import classifier_checks


def features(images):
    """Mean brightness and roughness of each image, float64 (N, 2)."""
    pixels = images.astype(np.float64).mean(axis=3)
    return np.stack([pixels.mean(axis=(1, 2)), np.abs(np.diff(pixels, axis=2)).mean(axis=(1, 2))], axis=1)


class MeansPredictor:
    def __init__(self, means):
        self.means = means

    def predict(self, images):
        distances = ((features(images)[:, None] - self.means) ** 2).sum(axis=2)  # (N, K)
        nearness = 1 / (1 + distances)
        return nearness / nearness.sum(axis=1, keepdims=True)


class Means(Classifier):
    """Nearest class mean, roughly: a correct classifier."""

    name: ClassVar[str] = "means"
    predictor: ClassVar[type] = MeansPredictor
    steps: int = Field(1000, ge=1, description="Steps that it pretends to take.")

    def fit(self, train, context):
        images, labels = train.all_images()
        images = train.changed(images, context.seed)
        generator = np.random.default_rng(context.seed)
        known = features(images)
        means = np.stack([known[labels == label].mean(axis=0) for label in range(len(train.classes))])
        context.report(self.steps, self.steps, loss=0.5)
        return self.predictor(means + generator.normal(0, 0.01, means.shape))


class ForgetsWhatItSaved(Means):
    def fit(self, train, context):
        predictor = super().fit(train, context)
        if context.checkpoint.load() is not None:
            predictor.means = predictor.means + 1
        context.checkpoint.save(1, {"means": predictor.means})
        return predictor


class SavingPredictor(MeansPredictor):
    def features(self, images):
        return features(images)

    def save(self, folder):
        np.save(folder / "means.npy", self.means)


class Saves(Means):
    predictor: ClassVar[type] = SavingPredictor

    def load(self, folder):
        return self.predictor(np.load(folder / "means.npy"))


class RoundingPredictor(SavingPredictor):
    def save(self, folder):
        np.save(folder / "means.npy", self.means.round())


class SavesRounded(Saves):
    predictor: ClassVar[type] = RoundingPredictor


class PicklingPredictor(SavingPredictor):
    def save(self, folder):
        super().save(folder)
        (folder / "means.pkl").write_bytes(b"")


class SavesAPickle(Saves):
    predictor: ClassVar[type] = PicklingPredictor


class Float32Predictor(SavingPredictor):
    def features(self, images):
        return features(images).astype(np.float32)


class FeaturesInFloat32(Saves):
    predictor: ClassVar[type] = Float32Predictor


class EditsTheTrainingImages(Means):
    def fit(self, train, context):
        train.real.images[0] = 0
        return super().fit(train, context)


class EditsTheSyntheticLabels(Means):
    def fit(self, train, context):
        train.synthetic_labels[:] = 0
        train.synthetic_labels[::2] = 1
        return super().fit(train, context)


class EditsTheValidationImages(Means):
    def fit(self, train, context):
        train.validation.images[:] = 0
        return super().fit(train, context)


class IgnoresSyntheticImages(Means):
    def fit(self, train, context):
        empty = replace(train, synthetic=train.synthetic[:0], synthetic_labels=train.synthetic_labels[:0])
        return super().fit(empty, context)


class IgnoresWhatChangesBatches(Means):
    def fit(self, train, context):
        return super().fit(replace(train, on_the_fly=None), context)


class ChangesTwoBatchesAlike(Means):
    def fit(self, train, context):
        train.changed(train.real.images, context.seed)
        return super().fit(train, context)


class NeedsSyntheticImages(Means):
    def fit(self, train, context):
        assert train.synthetic.max() > 0
        return super().fit(train, context)


class FitsUnseeded(Means):
    def fit(self, train, context):
        return super().fit(train, replace(context, seed=None))


class ReseedsTorch(Means):
    def fit(self, train, context):
        import torch

        torch.manual_seed(0)
        return super().fit(train, context)


class DisablesGradients(Means):
    def fit(self, train, context):
        import torch

        torch.set_grad_enabled(False)
        return super().fit(train, context)


class DrawsFromNumpysGlobalState(Means):
    def fit(self, train, context):
        np.random.permutation(5)
        return super().fit(train, context)


class ReturnsOnePredictor(Means):
    made: ClassVar[dict] = {}

    def fit(self, train, context):
        fitted = super().fit(train, context)
        made = self.made.setdefault(train.real.shape, fitted)
        made.means = fitted.means
        return made


class ReturnsThePredictorOfItsFirstFit(Means):
    _made: dict = PrivateAttr(default_factory=dict)  # not among its settings

    def fit(self, train, context):
        return self._made.setdefault("predictor", super().fit(train, context))


class Prints(Means):
    def fit(self, train, context):
        import sys

        sys.stderr.write("epoch 1\n")
        return super().fit(train, context)


class WritesBesideItsFolder(Means):
    def fit(self, train, context):
        (context.folder.parent / "weights.npz").write_bytes(b"")
        return super().fit(train, context)


class ReportsBeyondTheTotal(Means):
    def fit(self, train, context):
        context.report(self.steps + 1, self.steps)
        return super().fit(train, context)


def with_predictor(name, predict):
    """A Means classifier whose predictor predicts so instead."""
    return type(
        name,
        (Means,),
        {"predictor": type(name, (MeansPredictor,), {"predict": predict}), "__module__": __name__},
    )


score = MeansPredictor.predict


def score_in_training_mode(self, images):
    scores = score(self, images - images.mean(axis=0, dtype=np.float64)) if len(images) else score(self, images)
    return scores / scores.sum(axis=1, keepdims=True)


def score_with_dropout(self, images):
    self.generator = getattr(self, "generator", np.random.default_rng(0))
    scores = score(self, images) * self.generator.uniform(0.5, 1, (len(images), len(self.means)))
    return scores / scores.sum(axis=1, keepdims=True)


def score_and_edit(self, images):
    images //= 2
    return score(self, images)


def score_and_reseed_numpy(self, images):
    np.random.seed(0)
    return score(self, images)


def score_some(self, images):
    return np.concatenate([score(self, images[n : n + 4]) for n in range(0, len(images), 4)])


BROKEN = {
    EditsTheTrainingImages: {"fit_leaves_the_training_set_alone"},
    EditsTheSyntheticLabels: {"fit_leaves_the_training_set_alone", "synthetic_images_are_learned_from"},
    EditsTheValidationImages: {"fit_leaves_the_training_set_alone"},
    IgnoresSyntheticImages: {"synthetic_images_are_learned_from"},
    IgnoresWhatChangesBatches: {"every_batch_is_changed_on_the_fly"},
    ChangesTwoBatchesAlike: {"every_batch_is_changed_on_the_fly"},
    NeedsSyntheticImages: {"fit_works_without_synthetic_images"},
    ForgetsWhatItSaved: {"a_killed_fit_goes_on_to_the_same_scores"},
    FitsUnseeded: {"fit_with_the_same_seed_gives_the_same_scores"},
    ReseedsTorch: {"fit_leaves_global_state_alone"},
    DisablesGradients: {"fit_leaves_global_state_alone"},
    DrawsFromNumpysGlobalState: {"fit_leaves_global_state_alone"},
    ReturnsOnePredictor: {"fit_returns_a_new_predictor"},
    ReturnsThePredictorOfItsFirstFit: {"fit_returns_a_new_predictor"},
    Prints: {"it_prints_nothing"},
    WritesBesideItsFolder: {"it_writes_into_its_folder_alone"},
    ReportsBeyondTheTotal: {"reports_are_sound"},
    with_predictor("DoesNotSumToOne", lambda s, im: score(s, im) * 0.9): {"scores_are_probabilities"},
    with_predictor("ScoresBelowZero", lambda s, im: score(s, im) * 3 - 1): {"scores_are_probabilities"},
    with_predictor("ScoresNothing", lambda s, im: score(s, im) * np.nan): {
        "scores_are_probabilities",
        "fit_returns_a_new_predictor",
        "fit_with_the_same_seed_gives_the_same_scores",
        "predicting_twice_gives_the_same_scores",
        "an_image_is_scored_by_itself",
    },
    with_predictor("ScoresInFloat32", lambda s, im: score(s, im).astype(np.float32)): {
        "scores_have_a_row_an_image_and_a_column_a_class"
    },
    with_predictor("ScoresInTrainingMode", score_in_training_mode): {"an_image_is_scored_by_itself"},
    with_predictor("ScoresWithDropout", score_with_dropout): {
        "predicting_twice_gives_the_same_scores",
        "an_image_is_scored_by_itself",
        "fit_returns_a_new_predictor",
    },
    with_predictor("EditsTheImages", score_and_edit): {"predict_leaves_its_images_alone"},
    with_predictor("ReseedsNumpy", score_and_reseed_numpy): {"predict_leaves_global_state_alone"},
    with_predictor("CannotScoreNothing", score_some): {"no_images_give_no_scores"},
    SavesRounded: {"a_saved_predictor_scores_as_before"},
    SavesAPickle: {"a_saved_predictor_scores_as_before"},
    FeaturesInFloat32: {"a_saved_predictor_scores_as_before"},
}


@pytest.fixture(autouse=True)
def torch_as_it_was():
    import torch

    yield
    torch.set_grad_enabled(True)


@pytest.mark.parametrize("check", classifier_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("correct", [Means, Saves])
def test_a_correct_classifier_keeps_the_contract(correct, check):
    check(correct)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_classifier_is_caught_by_the_check_meant_for_it(broken, failing):
    assert BROKEN[broken] == failing("classifier", broken)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_order_of_the_checks_does_not_matter(broken, failing):
    anew = type(broken.__name__, (broken,), {"__module__": __name__})  # nothing of it is kept for other checks

    assert BROKEN[broken] == failing("classifier", anew, order=reversed)
