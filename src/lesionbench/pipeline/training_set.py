"""The training set: real and synthetic images kept apart, and real images to validate on."""

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

Drawn = tuple[Images, Labels]  # synthetic images, uint8 (M, H, W, C), and their classes, int64 (M,)


@dataclass(frozen=True, eq=False)
class Pool:
    """An augmenter's synthetic images, by class; a smaller dose is the beginning of a larger one."""

    images: tuple[Images, ...]  # one (count, H, W, C) a class, in the order of the classes

    def first(self, per_class: int) -> Drawn:
        """The first `per_class` images of every class and their labels, class after class."""
        if any(len(images) < per_class for images in self.images):
            raise ContractError(f"the pool holds {min(map(len, self.images))} images a class, not {per_class}")
        labels = np.repeat(np.arange(len(self.images), dtype=np.int64), per_class)
        return np.concatenate([images[:per_class] for images in self.images]), labels

    def shuffled(self, seed: int) -> Pool:
        """The same images with the labels of the first of every class changed about, those of the second, and so on.

        Every dose thus holds the images that it held before, as many a class, and their labels mean nothing.
        """
        count = min(map(len, self.images))
        order = np.random.default_rng(seed).random((count, len(self.images))).argsort(axis=1)  # (count, K)
        together = np.stack([images[:count] for images in self.images])  # (K, count, H, W, C)
        rows = np.arange(count)
        return Pool(tuple(together[order[:, label], rows] for label in range(len(self.images))))


def draw_pool(sampler: Sampler, like: LabelledImages, per_class: int, seed_of: Callable[[str], int]) -> Pool:
    """Draw `per_class` images of every class; raises ContractError when they have another shape or number."""
    if not per_class:
        return Pool((like.images[:0],) * len(like.classes))
    drawn = []
    for label, name in enumerate(like.classes):
        images = sampler.sample(label, per_class, seed_of(name))
        check_images(images)
        if images.shape != (per_class, *like.shape):
            raise ContractError(f"asked for {(per_class, *like.shape)} images of class {name!r}, got {images.shape}")
        drawn.append(images)
    return Pool(tuple(drawn))


def with_synthetic(real: LabelledImages, drawn: Sequence[Drawn]) -> LabelledImages:
    """The real images and after them the synthetic ones, each synthetic image in a group of its own."""
    if not drawn:
        return real
    images, labels = together(real, drawn)
    first = int(real.groups.max()) + 1 if len(real) else 0
    return LabelledImages(
        np.concatenate([real.images, images]),
        np.concatenate([real.labels, labels]),
        np.concatenate([real.groups, np.arange(first, first + len(labels), dtype=np.int64)]),
        np.concatenate([real.ids, np.array([f"synthetic/{number}" for number in range(len(labels))], dtype=np.str_)]),
        real.classes,
    )


def together(like: LabelledImages, drawn: Sequence[Drawn]) -> Drawn:
    """Several draws as one; none of them, and the shape of the given images, when there is none."""
    images = np.concatenate([like.images[:0], *(images for images, _ in drawn)])
    return images, np.concatenate([like.labels[:0], *(labels for _, labels in drawn)])


class OnTheFly:
    """A sampler's `transform`, checked, and whether anyone used it."""

    def __init__(self, sampler: Transformer) -> None:
        self.sampler = sampler
        self.used = False

    def transform(self, images: Images, seed: int) -> Images:
        """The same images, each changed at random; raises ContractError when they come back in another shape."""
        self.used = True
        changed = self.sampler.transform(images, seed)
        check_images(changed)
        if changed.shape != images.shape:
            raise ContractError(f"`transform` must keep the shape {images.shape}, but returned {changed.shape}")
        return changed


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a classifier learns from.

    real: the split's training images.  synthetic: uint8 (M, H, W, C), and synthetic_labels int64 (M,).
    validation: real images, in no group of `real`, that no augmenter has seen: for early stopping,
    checkpoints and thresholds.  on_the_fly: what changes every training batch; see `changed`.
    """

    real: LabelledImages
    synthetic: Images
    synthetic_labels: Labels
    validation: LabelledImages
    on_the_fly: Transformer | None = None

    @classmethod
    def of(cls, split: Split, drawn: Sequence[Drawn] = (), on_the_fly: Transformer | None = None) -> TrainingSet:
        """The split's training images, and what was drawn for them in the order of the chain."""
        return cls(split.train, *together(split.train, drawn), split.validation, on_the_fly)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; a label is an index into them."""
        return self.real.classes

    def all_images(self) -> tuple[Images, Labels]:
        """Real, then synthetic: uint8 (N + M, H, W, C) and int64 (N + M,)."""
        images = np.concatenate([self.real.images, self.synthetic])
        return images, np.concatenate([self.real.labels, self.synthetic_labels])

    def changed(self, batch: Images, seed: int) -> Images:
        """A training batch as it is to be learnt from, uint8 (n, H, W, C): changed at random if so wished.

        Every batch of every step needs a seed of its own, derived from the context's.
        """
        return batch if self.on_the_fly is None else self.on_the_fly.transform(batch, seed)
