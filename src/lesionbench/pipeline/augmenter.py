"""Augmenters: settings that learn from real images, and samplers: what they learnt.

A sampler may also have
    transform(images, seed) -> Images     the same images, each changed at random; for use on the fly
    save(folder)                          writes itself (safetensors or JSON, never pickle), so that a later,
                                          larger dose needs no new fit; its augmenter then has `load(folder)`
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

        The first 120 of 480 are the 120 of the same seed: doses are nested.
        """


@runtime_checkable
class Transformer(Protocol):
    """A sampler that can also change given images at random."""

    def transform(self, images: Images, seed: int) -> Images:
        """The same images, each changed at random: uint8 (N, H, W, C)."""


@runtime_checkable
class Saveable(Protocol):
    """A sampler that can write itself."""

    def save(self, folder: Path) -> None:
        """Write everything that `Augmenter.load` needs into this empty folder."""


class Augmenter(Plugin):
    """Settings that learn from real images.

    The class variables are facts that other code asks for: no name of a plugin is compared anywhere.
    """

    is_baseline: ClassVar[bool] = False  # True when every other augmenter is compared with it
    is_control: ClassVar[bool] = False  # True when it only shows what an augmenter must beat
    makes_images: ClassVar[bool] = True  # False when its samplers draw no synthetic images
    changes_images: ClassVar[bool] = False  # True when its samplers have `transform`

    @abstractmethod
    def fit(self, train: LabelledImages, context: RunContext) -> Sampler:
        """A sampler that has seen these images and no others.

        Raises TrainingDiverged when a loss stops being finite.
        """

    def load(self, folder: Path) -> Sampler:
        """The sampler that `Saveable.save` wrote; only augmenters whose samplers can save have it."""
        raise NotImplementedError
