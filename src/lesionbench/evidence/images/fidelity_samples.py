"""The images that fidelity compares: equal numbers of synthetic, held-out real and training images of a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import ContractError
from lesionbench.evidence.images.ms_ssim import diversity, scales_for
from lesionbench.pipeline.context import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images, LabelledImages
    from lesionbench.pipeline.leaderboard import Row

MOST = 2000  # images compared on each side
LEAST = 10
ENOUGH_HELD_OUT = 50  # of every class; with fewer, half of the training images are the reference
SUBSET = 100  # images of a KID subset, at most
PAIRS = 500  # of images, over which the similarity is averaged


@dataclass(frozen=True)
class Extractor:
    """A named function that turns images, uint8 (N, H, W, C), into features, float64 (N, D)."""

    name: str
    features: Callable[[Images], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Scale:
    """An extractor with normalized features: those of the real images have mean 0 and mean square 1.

    There is one shift for each feature and one scale for all, so ratios of distances do not change, and distances do
    not depend on the units of the network's layer.
    """

    extractor: Extractor
    shift: NDArray[np.float64]  # (D,)
    scale: float

    def of(self, images: Images) -> NDArray[np.float64]:
        """The features of these images, float64 (N, D)."""
        return (checked_features(self.extractor, images) - self.shift) / self.scale


@dataclass(frozen=True, eq=False)
class Sample:
    """Some images and their features, float64 (N, D), or None."""

    images: Images
    features: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Sample:
        """The first `count` images."""
        return Sample(self.images[:count], None if self.features is None else self.features[:count])


def joined(samples: Sequence[Sample]) -> Sample:
    """All images of several samples, of which all or none have features."""
    features = [sample.features for sample in samples if sample.features is not None]
    return Sample(np.concatenate([sample.images for sample in samples]), np.concatenate(features) if features else None)


@dataclass(frozen=True)
class Roles:
    """Which of a fold's real images are the reference and which the floor, by their numbers in each class.

    reference: `validation` or `training`, the images that synthetic images are compared with.
    real: the number of reference images of each class.  floor: the number of other training images, which are measured
    in place of the synthetic images.
    """

    reference: str
    real: tuple[int, ...]
    floor: tuple[int, ...]

    @classmethod
    def of(cls, train: Sequence[int], validation: Sequence[int]) -> Roles:
        """The roles: the reference is the validation images, which no augmenter saw, so copying does not pay.

        If a class has fewer than 50 of them, and half of its training images are more, then the reference is a random
        half of the training images of every class, and the floor is the other half.
        """
        halves = [count // 2 for count in train]
        if min(validation) < ENOUGH_HELD_OUT and min(halves) > min(validation):
            return cls("training", tuple(halves), tuple(a - b for a, b in zip(train, halves, strict=True)))
        return cls("validation", tuple(validation), tuple(train))

    def compared(self, synthetic: Sequence[int]) -> list[int]:
        """The number of images of each class that are compared on each side, given the number of synthetic ones."""
        return [min(MOST, *counts) for counts in zip(synthetic, self.real, self.floor, strict=True)]

    def sizes(self, synthetic: Sequence[int]) -> list[int]:
        """The number of images on each side of every comparison: of each class, then of all classes together."""
        counts = self.compared(synthetic)
        return [*counts, of_each(counts) * len(counts)]


def of_each(counts: Sequence[int]) -> int:
    """The number of images of each class in the comparison of all classes, the same for each."""
    return min(*counts, MOST // len(counts))


@dataclass(frozen=True, eq=False)
class RealSide:
    """One fold's real images, the same for all its pools; every tuple has one entry for each class.

    real: samples of the reference.  floor: samples of the training images measured in place of synthetic ones.
    ms_ssim: the mean similarity of the training images, or None.  floors: the floors that were measured so far.
    """

    classes: tuple[str, ...]
    fold: int
    roles: Roles
    real: tuple[Sample, ...]
    floor: tuple[Sample, ...]
    ms_ssim: tuple[float | None, ...]
    scale: Scale | None
    extractor: str | None
    no_features: str | None  # why there are no features
    floors: dict[object, Row] = field(default_factory=dict)


def real_side(
    train: LabelledImages, validation: LabelledImages, fold: int, extractor: Extractor | str, seed: int
) -> RealSide:
    """A fold's real images, ready for comparison.

    extractor: of that fold, or the reason why there is none. Raises ContractError if its features are invalid.
    """
    rng = np.random.default_rng(derive_seed("fidelity real", seed, fold))
    trained, held_out = (_shuffled(part, rng) for part in (train, validation))
    roles = Roles.of([len(places) for places in trained], [len(places) for places in held_out])
    floor = [
        train.images[places[len(places) - count :][:MOST]] for places, count in zip(trained, roles.floor, strict=True)
    ]
    source, places_of = (train, trained) if roles.reference == "training" else (validation, held_out)
    real = [source.images[places[:count][:MOST]] for places, count in zip(places_of, roles.real, strict=True)]
    scale, no_features = (None, extractor) if isinstance(extractor, str) else _scale(extractor, [*real, *floor])
    return RealSide(
        classes=train.classes,
        fold=fold,
        roles=roles,
        real=tuple(sample(images, scale) for images in real),
        floor=tuple(sample(images, scale) for images in floor),
        ms_ssim=tuple(
            similarity(train.of_class(label), derive_seed("ms-ssim real", seed, fold, label))
            for label in range(len(train.classes))
        ),
        scale=scale,
        extractor=None if isinstance(extractor, str) else extractor.name,
        no_features=no_features,
    )


def _shuffled(part: LabelledImages, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """The positions of the images of each class, in random order."""
    return [rng.permutation(np.flatnonzero(part.labels == label)) for label in range(len(part.classes))]


def sample(images: Images, scale: Scale | None) -> Sample:
    """These images with their features."""
    return Sample(images, scale.of(images) if scale is not None and len(images) else None)


def similarity(images: Images, seed: int) -> float | None:
    """The mean MS-SSIM over random pairs; None for fewer than two images or for images smaller than the window."""
    if len(images) < 2 or not scales_for(*images.shape[1:3]):
        return None
    return diversity(images, PAIRS, np.random.default_rng(seed))


def _scale(extractor: Extractor, real: Sequence[Images]) -> tuple[Scale | None, str | None]:
    """The extractor with the shift and scale from these images, or the reason why it cannot be used."""
    images = np.concatenate(real)
    if not len(images):
        return None, "there are no real images to compare with"
    features = checked_features(extractor, images)
    shift = features.mean(axis=0)
    scale = float(np.sqrt(((features - shift) ** 2).mean()))
    if scale <= 1e-9 * float(np.abs(features).max()):
        return None, f"{extractor.name} gives every real image the same features"
    return Scale(extractor, shift, scale), None


def checked_features(extractor: Extractor, images: Images) -> NDArray[np.float64]:
    """The features, float64 (N, D); raises ContractError unless they are finite, with one row for each image."""
    features = np.asarray(extractor.features(images), np.float64)
    if features.ndim != 2 or len(features) != len(images) or not features.shape[1]:
        raise ContractError(
            f"features are one row for each image, here ({len(images)}, D), but {extractor.name} gives {features.shape}"
        )
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features).all(axis=1)).sum())
        raise ContractError(
            f"features are finite numbers, but {extractor.name} gives others for {bad} of {len(images)} images"
        )
    return features


def kid_subset(sizes: Iterable[int]) -> int:
    """The number of images in a KID subset, one for a whole run: half the smallest comparison, at most 100.

    sizes: from `Roles.sizes` of every pool. With half of the images, subsets differ, so their deviation is informative.
    Comparisons of fewer than 10 images are not made and do not count.
    """
    return min([SUBSET, *(size // 2 for size in sizes if size >= LEAST)])
