"""What classifiers and their predictors promise."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.pipeline.augmenter import Saveable
from lesionbench.pipeline.classifier import Featuring
from lesionbench.testing.fixtures import (
    KeptFolder,
    a_context,
    kept_for_other_checks,
    quick,
    tiny_images,
    tiny_training_set,
    writable_set,
)
from lesionbench.testing.pickles import pickles_in
from lesionbench.testing.reports import require_sound_reports
from lesionbench.testing.require import Skipped, require
from lesionbench.testing.resuming import killed_and_resumed
from lesionbench.testing.watching import Traces, WatchedFit, global_state_left_alone, watch_fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.pipeline.classifier import Classifier, Predictor
    from lesionbench.pipeline.images import Images, Scores
    from lesionbench.pipeline.training_set import TrainingSet

TOLERANCE = 1e-5  # float32 sums differ in their last digits when a batch has another size


@contextmanager
def fitted(plugin_class: type[Classifier], train: TrainingSet | None = None) -> Iterator[Predictor]:
    """A predictor newly fitted on a tiny training set; its folder exists until the block ends."""
    with TemporaryDirectory() as folder:
        given = writable_set(train or tiny_training_set())
        yield quick(plugin_class).fit(given, a_context(Path(folder), 1))


@kept_for_other_checks(maxsize=1)
def watched(plugin_class: type[Classifier]) -> WatchedFit:
    """One fit, watched for every side effect; each check looks at one of them."""
    return watch_fit(quick(plugin_class), writable_set(tiny_training_set()))


@kept_for_other_checks(maxsize=1)
def traces_of_use(plugin_class: type[Classifier]) -> Traces:
    """What the watched fit, and then predicting, printed and wrote."""
    fit = watched(plugin_class)
    with fit.traces.kept():
        fit.fitted.predict(unseen())
    return fit.traces


@dataclass
class SharedPredictor:
    """A fitted predictor for all checks that only predict; fitting a deep network takes seconds."""

    plugin: Classifier  # the settings that were fitted
    predictor: Predictor
    folder: KeptFolder  # of the fit; it exists as long as this object does

    @cached_property
    def first_scores(self) -> Scores:
        """Its very first scores: float64 (12, 2)."""
        return self.predictor.predict(unseen())


@kept_for_other_checks(maxsize=2)
def shared_fit(plugin_class: type[Classifier], classes: int = 2, channels: int = 3) -> SharedPredictor:
    """A fit whose predictor many checks use."""
    plugin, folder = quick(plugin_class), KeptFolder()
    given = writable_set(tiny_training_set(classes, channels))
    return SharedPredictor(plugin, plugin.fit(given, a_context(folder.path, 1)), folder)


def shared(plugin_class: type[Classifier]) -> Predictor:
    """The predictor of the shared fit, after its first scores were kept."""
    fit = shared_fit(plugin_class)
    assert fit.first_scores is not None  # predicted here, before any check predicts
    return fit.predictor


def of_both_shapes(plugin_class: type[Classifier]) -> Iterator[tuple[Scores, int]]:
    """Scores of color images in two classes, and of grey images in three: (6 * K, K), and K."""
    yield shared(plugin_class).predict(unseen()), 2
    yield shared_fit(plugin_class, 3, 1).predictor.predict(unseen(3, 1)), 3


def unseen(classes: int = 2, channels: int = 3) -> Images:
    """Images that are in no tiny training set of seed 0, in a new array: uint8 (6 * classes, 32, 32, C)."""
    return tiny_images(classes, channels, seed=99, per_class=6).images.copy()


def check_fit_leaves_the_training_set_alone(plugin_class: type[Classifier]) -> None:
    """Fitting edits no array of the training set, and works on read-only images, as in every experiment."""
    edited = watched(plugin_class).edited
    require(not edited, f"fit must leave the training set alone, but it edited {edited}; work on a copy")
    with TemporaryDirectory() as folder:
        quick(plugin_class).fit(tiny_training_set(), a_context(Path(folder)))


def check_fit_returns_a_new_predictor(plugin_class: type[Classifier]) -> None:
    """Two fits of one plugin give two predictors, and the first still scores as it did after the second."""
    first, plugin = shared(plugin_class), shared_fit(plugin_class).plugin
    before = first.predict(unseen())
    with TemporaryDirectory() as folder:
        second = plugin.fit(writable_set(tiny_training_set(seed=1)), a_context(Path(folder), 2))
        require(first is not second, "fit must return a new predictor each time, but it returned one object twice")
        kept = np.array_equal(before, first.predict(unseen()))
        require(kept, "a second fit must leave the first predictor alone, but its scores changed; share no weights")


def check_fit_leaves_the_settings_alone(plugin_class: type[Classifier]) -> None:
    """What a fit learns is stored in the predictor, never in the settings."""
    watched(plugin_class).require_settings_unchanged("predictor")


def check_fit_with_the_same_seed_gives_the_same_scores(plugin_class: type[Classifier]) -> None:
    """Two fits on the same training set with the same seed give the same scores, to the last bit."""
    first = shared_fit(plugin_class).first_scores
    with fitted(plugin_class) as predictor:
        second = predictor.predict(unseen())
    apart = np.abs(first - second).max()
    require(
        np.array_equal(first, second),
        f"two fits with one context.seed must score alike, but differ by {apart:.2g}; seed all",
    )


def check_a_killed_fit_goes_on_to_the_same_scores(plugin_class: type[Classifier]) -> None:
    """A fit that is killed when it has saved its state goes on from there and scores the same, to the last bit."""
    fit = shared_fit(plugin_class)
    first = fit.first_scores
    with TemporaryDirectory() as folder:
        context = a_context(Path(folder), 1)
        predictor = killed_and_resumed(lambda given: fit.plugin.fit(writable_set(tiny_training_set()), given), context)
        require(
            np.array_equal(first, predictor.predict(unseen())),
            "a fit that goes on from context.checkpoint must score the same, but does not; save all of its state",
        )


def check_a_saved_predictor_scores_as_before(plugin_class: type[Classifier]) -> None:
    """A predictor that was saved and loaded gives the same scores and features, to the last bit."""
    predictor = shared(plugin_class)
    if not isinstance(predictor, Saveable):
        raise Skipped("its predictors cannot save, so images cannot be compared in their features")
    with TemporaryDirectory() as folder:
        predictor.save(Path(folder))
        found = pickles_in(Path(folder))
        require(not found, f"a predictor must not save pickles, but {', '.join(found)} is one; use safetensors or JSON")
        loaded = quick(plugin_class).load(Path(folder))
        alike = np.array_equal(predictor.predict(unseen()), loaded.predict(unseen()))
        require(alike, "a loaded predictor must score as the saved one, but its scores differ; save all it learned")
        _require_sound_features(predictor, loaded)


def _require_sound_features(predictor: Predictor, loaded: Predictor) -> None:
    if not isinstance(predictor, Featuring):
        return
    found = predictor.features(unseen())
    shaped = isinstance(found, np.ndarray) and found.dtype == np.float64 and found.ndim == 2 and len(found) == 12
    require(shaped and bool(np.isfinite(found).all()), "features must be finite float64 (N, D), a row for each image")
    require(
        isinstance(loaded, Featuring) and np.array_equal(found, loaded.features(unseen())),
        "a loaded predictor must have the features of the saved one, but they differ; save all that it learned",
    )


def check_fit_works_without_synthetic_images(plugin_class: type[Classifier]) -> None:
    """Fitting works on a training set without synthetic images, as the baseline has."""
    with fitted(plugin_class, tiny_training_set(synthetic_per_class=0)) as predictor:
        found = predictor.predict(unseen()).shape
        require(found == (12, 2), f"without synthetic images, scores must have shape (12, 2), not {found}")


def check_synthetic_images_are_learned_from(plugin_class: type[Classifier]) -> None:
    """Synthetic images with other labels give other scores; otherwise every dose would measure the baseline."""
    train = tiny_training_set(synthetic_per_class=60)  # most of the set, so that two steps cannot miss them
    relabelled = replace(train, synthetic_labels=1 - train.synthetic_labels)
    scores = []
    for given in (train, relabelled):
        with fitted(plugin_class, given) as predictor:
            scores.append(predictor.predict(unseen()))
    equal = np.array_equal(scores[0], scores[1])
    require(not equal, "other synthetic labels must give other scores, but gave the same; fit on train.all_images()")


class _Negative:
    """An augmenter's `transform` that turns bright into dark and records the seeds it was given."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def transform(self, images: Images, seed: int) -> Images:
        """The negatives of these images."""
        self.seeds.append(seed)
        negatives: Images = 255 - images
        return negatives


def check_every_batch_is_changed_on_the_fly(plugin_class: type[Classifier]) -> None:
    """A classifier that learns in batches passes each batch to `train.changed`, with its own seed."""
    if not plugin_class.learns_in_batches:
        raise Skipped("it does not learn in batches")
    negative = _Negative()
    with fitted(plugin_class, replace(tiny_training_set(), on_the_fly=negative)) as predictor:
        scores = predictor.predict(unseen())
    used = bool(negative.seeds) and not np.array_equal(scores, shared_fit(plugin_class).first_scores)
    require(used, "training batches must be changed on the fly, but were not; learn from train.changed(batch, seed)")
    different = len(set(negative.seeds)) == len(negative.seeds)
    require(different, "every batch needs a seed of its own, but one came twice; derive it from context.seed and step")


def check_scores_have_a_row_an_image_and_a_column_a_class(plugin_class: type[Classifier]) -> None:
    """Scores are float64 (N, K), with one channel and with three, of two classes and of three."""
    for scores, classes in of_both_shapes(plugin_class):
        found = f"{scores.dtype} {scores.shape}" if isinstance(scores, np.ndarray) else type(scores).__name__
        right = found == f"float64 {(6 * classes, classes)}"
        require(right, f"scores must be float64 {(6 * classes, classes)}, not {found}; use .astype(np.float64)")


def check_scores_are_probabilities(plugin_class: type[Classifier]) -> None:
    """Scores are finite, lie in 0..1, and each row sums to one."""
    for scores, _ in of_both_shapes(plugin_class):
        require(bool(np.isfinite(scores).all()), "scores must be finite numbers, but some are not")
        low, high = scores.min(), scores.max()
        require(0 <= low <= high <= 1, f"scores must lie in 0..1, but reach {low:.4g} to {high:.4g}; use a softmax")
        worst = np.abs(scores.sum(axis=1) - 1).max()
        require(worst < 1e-6, f"each row of scores must sum to 1, but one is off by {worst:.2g}; divide by the sum")


def check_no_images_give_no_scores(plugin_class: type[Classifier]) -> None:
    """Zero images give scores of shape (0, K)."""
    predictor = shared(plugin_class)
    found = predictor.predict(unseen()[:0]).shape
    require(found == (0, 2), f"predict of zero images must have shape (0, 2), not {found}")


def check_an_image_is_scored_by_itself(plugin_class: type[Classifier]) -> None:
    """An image's scores do not depend on the images beside it (as they would with batch norm in training mode)."""
    predictor = shared(plugin_class)
    together = predictor.predict(unseen())
    for n in range(0, len(together), 3):
        apart = np.abs(predictor.predict(unseen()[n : n + 1])[0] - together[n]).max()
        require(
            apart <= TOLERANCE,
            f"an image must score the same alone and among others, but differs by {apart:.2g}; call model.eval()",
        )


def check_predicting_twice_gives_the_same_scores(plugin_class: type[Classifier]) -> None:
    """Predicting draws nothing at random (as dropout in training mode would)."""
    predictor = shared(plugin_class)
    apart = np.abs(predictor.predict(unseen()) - predictor.predict(unseen())).max()
    require(apart == 0, f"predicting twice must give the same scores, but they differ by {apart:.2g}; model.eval()")


def check_predict_leaves_its_images_alone(plugin_class: type[Classifier]) -> None:
    """Predicting does not edit the images given, and works on read-only ones."""
    predictor = shared(plugin_class)
    images = unseen()
    predictor.predict(images)
    kept = np.array_equal(images, unseen())
    require(kept, "predict must leave its images alone, but it edited them; work on a copy")
    images.flags.writeable = False
    predictor.predict(images)


def check_fit_leaves_global_state_alone(plugin_class: type[Classifier]) -> None:
    """Fitting leaves the global state of random, numpy and torch alone: generators, seeds and settings."""
    watched(plugin_class).require_global_state_unchanged()


def check_predict_leaves_global_state_alone(plugin_class: type[Classifier]) -> None:
    """Predicting leaves the global state of random, numpy and torch alone: generators, seeds and settings."""
    predictor = shared(plugin_class)
    with global_state_left_alone("predict"):
        predictor.predict(unseen())


def check_it_prints_nothing(plugin_class: type[Classifier]) -> None:
    """Fitting and predicting write nothing to stdout or stderr."""
    traces_of_use(plugin_class).require_nothing_printed("a classifier")


def check_it_writes_into_its_folder_alone(plugin_class: type[Classifier]) -> None:
    """Fitting and predicting leave no file outside the context's folder."""
    traces_of_use(plugin_class).require_nothing_written_outside("a classifier")


def check_reports_are_sound(plugin_class: type[Classifier]) -> None:
    """Each report of a fit has a step within the total, and finite scalars."""
    require_sound_reports(watched(plugin_class).reports)
