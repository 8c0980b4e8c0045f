"""The training set: real and synthetic images kept apart, and real images to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import ContractError
from lesionbench.pipeline.images import Images, Labels, check_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from lesionbench.pipeline.augmenter import Sampler
    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.split import Split


@dataclass(frozen=True, eq=False)
class Pool:
    """An augmenter's synthetic images, by class; a smaller dose is the beginning of a larger one."""

    images: tuple[Images, ...]  # one (count, H, W, C) a class, in the order of the classes

    def first(self, per_class: int) -> tuple[Images, Labels]:
        """The first `per_class` images of every class and their labels, class after class."""
        if any(len(images) < per_class for images in self.images):
            raise ContractError(f"the pool holds {min(map(len, self.images))} images a class, not {per_class}")
        labels = np.repeat(np.arange(len(self.images), dtype=np.int64), per_class)
        return np.concatenate([images[:per_class] for images in self.images]), labels


def draw_pool(sampler: Sampler, like: LabelledImages, per_class: int, seed_of: Callable[[str], int]) -> Pool:
    """Draw `per_class` images of every class; raises ContractError when they have another shape or number."""
    drawn = []
    for label, name in enumerate(like.classes):
        images = sampler.sample(label, per_class, seed_of(name))
        check_images(images)
        if images.shape != (per_class, *like.shape):
            raise ContractError(f"asked for {(per_class, *like.shape)} images of class {name!r}, got {images.shape}")
        drawn.append(images)
    return Pool(tuple(drawn))


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a classifier learns from.

    real: the split's training images.  synthetic: uint8 (M, H, W, C), and synthetic_labels int64 (M,).
    validation: real images, in no group of `real`, that no augmenter has seen: for early stopping,
    checkpoints and thresholds.
    """

    real: LabelledImages
    synthetic: Images
    synthetic_labels: Labels
    validation: LabelledImages

    @classmethod
    def of(cls, split: Split, pool: Pool | None, per_class: int) -> TrainingSet:
        """The split's training images and the first `per_class` synthetic ones of every class."""
        if pool is None or per_class == 0:
            synthetic, labels = split.train.images[:0], split.train.labels[:0]
        else:
            synthetic, labels = pool.first(per_class)
        return cls(split.train, synthetic, labels, split.validation)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; a label is an index into them."""
        return self.real.classes

    def all_images(self) -> tuple[Images, Labels]:
        """Real, then synthetic: uint8 (N + M, H, W, C) and int64 (N + M,)."""
        images = np.concatenate([self.real.images, self.synthetic])
        return images, np.concatenate([self.real.labels, self.synthetic_labels])
