"""A plugin package that notes every image it is given; the tests install it outside the repository.

Each image is noted as the SHA-256 of its bytes, one line a call, in $SPY_NOTES/KIND-FOLDER-NAME.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import typer

from lesionbench import (
    Augmenter,
    AugmenterInParts,
    Classifier,
    Dataset,
    FittedPart,
    LabelledImages,
    LoadedDataset,
    SettingsError,
    TrainingDiverged,
    derive_seed,
    hookimpl,
)


def note(role, folder, images):
    if "SPY_NOTES" in os.environ:
        digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        with (Path(os.environ["SPY_NOTES"]) / folder.name).open("a") as file:
            file.write(json.dumps([role, digests]) + "\n")


class SpyDataset(Dataset):
    """Ninety dots, dark or bright; three pictures a group."""

    name: ClassVar[str] = "spy-dots"
    needs_data: ClassVar[bool] = False
    classes: int = 2

    def load(self, root):
        random = np.random.default_rng(0)
        labels = np.repeat(np.arange(90) // 3 % self.classes, 1).astype(np.int64)
        images = random.integers(0, 120, (90, 8, 8, 1)) + 60 * labels[:, None, None, None]
        ids = np.array([f"dot{number}" for number in range(90)])
        names = tuple("abcdefgh"[: self.classes])
        groups = np.arange(90, dtype=np.int64) // 3
        data = LabelledImages(np.clip(images, 0, 255).astype(np.uint8), labels, groups, ids, names)
        return LoadedDataset(data, np.arange(90) >= 60)


class Copies:
    def __init__(self, train):
        self.train = train

    def sample(self, label, count, seed):
        images = self.train.of_class(label)
        chosen = np.random.default_rng(seed).integers(0, len(images), 10_000)[:count]
        return images[chosen]


class SpyAugmenter(Augmenter):
    """Copies of the real images."""

    name: ClassVar[str] = "spy-copies"
    fails: bool = False
    seconds: float = 0.0

    def fit(self, train, context):
        note("fit", context.folder, train.images)
        print("a plugin that prints does no harm")
        context.report(3, 3, loss=1.0)
        time.sleep(self.seconds)
        if self.fails:
            raise TrainingDiverged("the loss must stay finite, but it is nan at step 3")
        return Copies(train)


class SpyParts(AugmenterInParts):
    """Copies of the real images, each class learned by itself."""

    name: ClassVar[str] = "spy-parts"
    fails: str = ""  # the class that cannot be learned
    seconds: float = 0.0

    def parts(self, classes):
        return classes

    def fit_part(self, part, train, context):
        note("part", context.folder, train.of_class(part))
        context.report(3, 3, loss=1.0 + part)
        (context.folder / f"notes of {part}.txt").write_text("learned")
        time.sleep(self.seconds)
        if self.fails == train.classes[part]:
            raise TrainingDiverged("the loss must stay finite, but it is nan at step 3")
        chosen = np.random.default_rng(derive_seed("spy", context.seed, part)).integers(0, 20, 5)
        return FittedPart({"images": train.of_class(part)[chosen]}, {"class": train.classes[part]})

    def join(self, parts, train, context):
        note("join", context.folder, train.images)
        assert [part.values["class"] for part in parts] == list(train.classes)
        assert len(list(context.folder.glob("notes of *.txt"))) == len(parts)
        return Learned([part.arrays["images"] for part in parts])


class Learned:
    def __init__(self, images):
        self.images = images

    def sample(self, label, count, seed):
        return self.images[label][np.random.default_rng(seed).integers(0, 5, 10_000)[:count]]


class Negatives(Copies):
    def sample(self, label, count, seed):
        return 255 - super().sample(label, count, seed)

    def transform(self, images, seed):
        note("transform", self.folder, images)
        return 255 - images


class SpyNegatives(Augmenter):
    """Negatives of the images it learned from; it can also turn given images into theirs."""

    name: ClassVar[str] = "spy-negatives"
    changes_images: ClassVar[bool] = True

    def fit(self, train, context):
        note("fit", context.folder, train.images)
        sampler = Negatives(train)
        sampler.folder = context.folder
        return sampler


class SpySchedule(Augmenter):
    """Copies, after a training that counts its steps by itself: 60,000 unless `steps` says otherwise."""

    name: ClassVar[str] = "spy-schedule"
    steps: int = 0

    def fit(self, train, context):
        total = self.steps or 60_000
        for step in range(1, total + 1):
            time.sleep(0.01)
            context.report(step, total)
        return Copies(train)


class Centroids:
    def __init__(self, centres, context):
        self.centres, self.context = centres, context

    def predict(self, images):
        note("predict", self.context.folder, images)
        brightness = images.reshape(len(images), -1).mean(axis=1)
        near = np.exp(-np.abs(brightness[:, None] - self.centres[None]) / 30)
        return near / near.sum(axis=1, keepdims=True)


class SpyClassifier(Classifier):
    """The class whose mean brightness is nearest."""

    name: ClassVar[str] = "spy-centroids"
    dies_on_seed: int = 0
    seconds: float = 0.0
    deaf: bool = False  # to what changes batches on the fly

    def fit(self, train, context):
        note("train", context.folder, train.real.images)
        note("synthetic", context.folder, train.synthetic)
        note("validation", context.folder, train.validation.images)
        time.sleep(self.seconds)
        if self.dies_on_seed and context.folder.name.endswith(f"seed{self.dies_on_seed}"):
            os._exit(9)
        images, labels = train.all_images()
        if not self.deaf:
            images = train.changed(images, context.seed)
        centres = [images[labels == label].mean() for label in range(len(train.classes))]
        random = np.random.default_rng(context.seed)
        return Centroids(np.array(centres) + random.normal(0, 2, len(centres)), context)


@hookimpl
def register_datasets():
    return [SpyDataset]


@hookimpl
def register_augmenters():
    return [SpyAugmenter, SpyNegatives, SpySchedule, SpyParts]


@hookimpl
def register_classifiers():
    return [SpyClassifier]


@hookimpl
def register_data_commands():
    return [count_dots]


def count_dots(number: int = 3) -> None:
    """Count some dots."""
    if number < 0:
        raise SettingsError(f"a number of dots is 0 or more, not {number}")
    typer.echo(f"{number} dots")
