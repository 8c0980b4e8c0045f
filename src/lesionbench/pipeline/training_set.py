"""The training set: real images, synthetic images, and real images to validate on, all kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import ContractError
from lesionbench.pipeline.images import Images, LabelledImages, Labels, check_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lesionbench.pipeline.augmenter import Sampler, Transformer
    from lesionbench.pipeline.split import Split

SyntheticImages = tuple[Images, Labels]  # synthetic images, uint8 (M, H, W, C), and their classes, int64 (M,)


@dataclass(frozen=True, eq=False)
class Pool:
    """An augmenter's synthetic images by class; a smaller dose is the first part of a larger one."""

    images: tuple[Images, ...]  # (count, H, W, C) for each class, in the order of the classes

    def first(self, per_class: int) -> SyntheticImages:
        """The first `per_class` images of every class and their labels, class after class."""
        if any(len(images) < per_class for images in self.images):
            raise ContractError(f"the pool holds {min(map(len, self.images))} images of each class, not {per_class}")
        labels = np.repeat(np.arange(len(self.images), dtype=np.int64), per_class)
        return np.concatenate([images[:per_class] for images in self.images]), labels

    def shuffled(self, seed: int) -> Pool:
        """The same images with labels that mean nothing: the first images of all classes swap labels, then the second.

        Every dose therefore contains the same images as before, and the same number for each class.
        """
        count = min(map(len, self.images))
        order = np.random.default_rng(seed).random((count, len(self.images))).argsort(axis=1)  # (count, K)
        stacked = np.stack([images[:count] for images in self.images])  # (K, count, H, W, C)
        rows = np.arange(count)
        return Pool(tuple(stacked[order[:, label], rows] for label in range(len(self.images))))


def draw_pool(sampler: Sampler, like: LabelledImages, per_class: int, seed_of: Callable[[str], int]) -> Pool:
    """A pool of `per_class` images of every class; raises ContractError if the shape or number is wrong."""
    if not per_class:
        return Pool((like.images[:0],) * len(like.classes))
    by_class = []
    for label, name in enumerate(like.classes):
        images = sampler.sample(label, per_class, seed_of(name))
        check_images(images)
        if images.shape != (per_class, *like.shape):
            raise ContractError(f"asked for {(per_class, *like.shape)} images of class {name!r}, got {images.shape}")
        by_class.append(images)
    return Pool(tuple(by_class))


def with_synthetic(real: LabelledImages, draws: Sequence[SyntheticImages]) -> LabelledImages:
    """The real images followed by the synthetic ones; each synthetic image is a group of its own."""
    if not draws:
        return real
    images, labels = joined(real, draws)
    first = int(real.groups.max()) + 1 if len(real) else 0
    return LabelledImages(
        np.concatenate([real.images, images]),
        np.concatenate([real.labels, labels]),
        np.concatenate([real.groups, np.arange(first, first + len(labels), dtype=np.int64)]),
        np.concatenate([real.ids, np.array([f"synthetic/{number}" for number in range(len(labels))], dtype=np.str_)]),
        real.classes,
    )


def joined(like: LabelledImages, draws: Sequence[SyntheticImages]) -> SyntheticImages:
    """Several draws as one; with no draws, no images of the same shape as those in `like`."""
    images = np.concatenate([like.images[:0], *(images for images, _ in draws)])
    return images, np.concatenate([like.labels[:0], *(labels for _, labels in draws)])


class OnTheFly:
    """A sampler's `transform` with checks; remembers whether it was called."""

    def __init__(self, sampler: Transformer) -> None:
        self.sampler = sampler
        self.used = False

    def transform(self, images: Images, seed: int) -> Images:
        """The same images, each changed at random; raises ContractError if the sampler returns another shape."""
        self.used = True
        changed = self.sampler.transform(images, seed)
        check_images(changed)
        if changed.shape != images.shape:
            raise ContractError(f"`transform` must keep the shape {images.shape}, but returned {changed.shape}")
        return changed


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a classifier learns from.

    real: the split's training images.  synthetic: uint8 (M, H, W, C).  synthetic_labels: int64 (M,).
    validation: real images of other groups than `real`, which no augmenter has seen; for early stopping, choosing
    checkpoints, and thresholds.  on_the_fly: changes every training batch, see `changed`; None: nothing does.
    """

    real: LabelledImages
    synthetic: Images
    synthetic_labels: Labels
    validation: LabelledImages
    on_the_fly: Transformer | None = None

    @classmethod
    def of(
        cls, split: Split, draws: Sequence[SyntheticImages] = (), on_the_fly: Transformer | None = None
    ) -> TrainingSet:
        """The split's training images and the synthetic images of every link of a chain, in the order of the chain."""
        return cls(split.train, *joined(split.train, draws), split.validation, on_the_fly)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; a label is an index into them."""
        return self.real.classes

    def all_images(self) -> tuple[Images, Labels]:
        """The real images followed by the synthetic ones, uint8 (N + M, H, W, C), and their labels, int64 (N + M,)."""
        images = np.concatenate([self.real.images, self.synthetic])
        return images, np.concatenate([self.real.labels, self.synthetic_labels])

    def changed(self, batch: Images, seed: int) -> Images:
        """The batch to learn from, uint8 (n, H, W, C): changed at random by `on_the_fly`, or as given without it.

        Pass a different seed for every batch, derived from the context's seed.
        """
        return batch if self.on_the_fly is None else self.on_the_fly.transform(batch, seed)
