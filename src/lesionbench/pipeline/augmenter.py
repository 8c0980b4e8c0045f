"""Augmenters: settings that learn from real images. Samplers: what they learned.

A sampler may also have
    transform(images, seed) -> Images     changes each image at random; used on the fly
    save(folder)                          writes the sampler (safetensors or JSON, never pickle), so that a larger
                                          dose later needs no new fit; its augmenter then has `load(folder)`
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from lesionbench.pipeline.context import NoCheckpoint
from lesionbench.pipeline.plugin import Plugin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

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


@dataclass(frozen=True)
class FittedPart:
    """What one part of a fit has learned: arrays by name, and whatever JSON can hold."""

    arrays: Mapping[str, NDArray[Any]]
    values: Any = None


class AugmenterInParts(Augmenter):
    """An augmenter whose fit falls into parts that need nothing of each other, such as one network for each class.

    In a run, every part is a task of its own, so that parts are fitted at the same time, in other processes or on other
    machines. A last task joins them.
    """

    @abstractmethod
    def parts(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The names of the parts for these classes, such as the classes themselves; a single part is no task apart."""

    @abstractmethod
    def fit_part(self, part: int, train: LabelledImages, context: RunContext) -> FittedPart:
        """What one part learns, from all training images.

        part: its number, from 0. The context is that of the whole fit: derive a seed for each part, and let no two
        parts write files of the same name into the folder.
        Raises TrainingDiverged if a loss is not finite.
        """

    @abstractmethod
    def join(self, parts: Sequence[FittedPart], train: LabelledImages, context: RunContext) -> Sampler:
        """The sampler of all parts, in their order. It trains nothing; the files of the parts are in the folder."""

    def fit(self, train: LabelledImages, context: RunContext) -> Sampler:
        """The sampler of all parts, fitted one after the other in this process."""
        names = self.parts(train.classes)
        contexts = [context] if len(names) == 1 else [_of_part(context, part, len(names)) for part in range(len(names))]
        fitted = [self.fit_part(part, train, given) for part, given in enumerate(contexts)]
        return self.join(fitted, train, context)


class StackableAugmenter(AugmenterInParts):
    """An augmenter in parts that can also train the networks of all parts together, which a GPU may do faster."""

    @abstractmethod
    def fit_stacked(self, train: LabelledImages, context: RunContext) -> Sequence[FittedPart]:
        """What `fit_part` returns for every part, but for rounding; it also writes the files of all parts.

        Raises TrainingDiverged, with the name of the part, if a loss is not finite.
        """


def _of_part(context: RunContext, part: int, parts: int) -> RunContext:
    """The context of one of several parts, whose steps are reported as those of the whole fit; it saves no state."""

    def report(step: int, total: int, **scalars: float) -> None:
        context.report(part * total + step, parts * total, **{**scalars, "label": float(part)})

    return replace(context, report=report, checkpoint=NoCheckpoint())
