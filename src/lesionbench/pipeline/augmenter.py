"""Augmenters: settings that learn from real images. Samplers: what they learned.

A sampler may also have
    transform(images, seed) -> Images     changes each image at random; used on the fly
    save(folder)                          writes the sampler (safetensors or JSON, never pickle), so that a larger
                                          dose later needs no new fit; its augmenter then has `load(folder)`
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from lesionbench.pipeline.plugin import Plugin

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, LabelledImages

BASELINE = "none"  # how no augmenter is written, whether it would draw images or change batches
HOLDOUT = "real-holdout"  # how the link of a chain is written that holds real images back


class Sampler(Protocol):
    """What `Augmenter.fit` returns."""

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` synthetic images of one class: uint8 (count, H, W, C), the shape of the training images.

        Doses are nested: the first 120 of 480 images are those that `count=120` gives with the same seed.
        """


@runtime_checkable
class Transformer(Protocol):
    """A sampler that can also change given images at random."""

    def transform(self, images: Images, seed: int) -> Images:
        """The same images, each changed at random: uint8 (N, H, W, C)."""


@runtime_checkable
class Saveable(Protocol):
    """A sampler that can be saved."""

    def save(self, folder: Path) -> None:
        """Write everything that `Augmenter.load` needs into this empty folder."""


class Augmenter(Plugin):
    """Settings that learn from real images.

    The class variables state facts about the augmenter, so that no other code needs to compare names.
    """

    is_baseline: ClassVar[bool] = False  # True when every other augmenter is compared with it
    is_control: ClassVar[bool] = False  # True when it only shows what an augmenter must beat
    makes_images: ClassVar[bool] = True  # False when its samplers draw no synthetic images
    changes_images: ClassVar[bool] = False  # True when its samplers have `transform`

    @abstractmethod
    def fit(self, train: LabelledImages, context: RunContext) -> Sampler:
        """A sampler that has seen these images and no others.

        Raises TrainingDiverged if a loss is not finite.
        """

    def load(self, folder: Path) -> Sampler:
        """The sampler that `Saveable.save` wrote; required only if the samplers can be saved."""
        raise NotImplementedError
