"""The controls that every augmentation is measured against: none, the real images again, noise, fewer real images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lesionbench.pipeline.augmenter import BASELINE, HOLDOUT, Augmenter

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.builtin.control_samplers import ClassBlindNoise, NoImages, RealAgain
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import LabelledImages


class NoAugmenter(Augmenter):
    """No synthetic images: the baseline, always run. Its only dose is 0."""

    name: ClassVar[str] = BASELINE
    is_baseline: ClassVar[bool] = True
    makes_images: ClassVar[bool] = False

    def fit(self, train: LabelledImages, context: RunContext) -> NoImages:
        from lesionbench.builtin.control_samplers import NoImages

        return NoImages(train.shape)


class Oversample(Augmenter):
    """The real images again: every image of a class once, in a random order, before any comes twice."""

    name: ClassVar[str] = "oversample"
    is_control: ClassVar[bool] = True

    def fit(self, train: LabelledImages, context: RunContext) -> RealAgain:
        from lesionbench.builtin.control_samplers import RealAgain

        return RealAgain(train.images, train.labels)

    def load(self, folder: Path) -> RealAgain:
        from lesionbench.builtin.control_samplers import RealAgain

        return RealAgain.load(folder)


class Noise(Augmenter):
    """Images that show nothing: every pixel drawn from one normal distribution a channel, the same for all classes.

    Mean and standard deviation are those of all training pixels. What helps no less than this is not in the images.
    """

    name: ClassVar[str] = "noise"
    is_control: ClassVar[bool] = True

    def fit(self, train: LabelledImages, context: RunContext) -> ClassBlindNoise:
        from lesionbench.builtin.control_samplers import ClassBlindNoise

        return ClassBlindNoise.of(train.images)

    def load(self, folder: Path) -> ClassBlindNoise:
        from lesionbench.builtin.control_samplers import ClassBlindNoise

        return ClassBlindNoise.load(folder)


class RealHoldout(Augmenter):
    """Real training images held back: its dose is how many of each class are held back.

    Compared with `none`, which has them, it shows what a real image is worth. It makes no images, and is the first in a
    chain: `real-holdout@120+dcgan` fits the GAN on what is left.
    """

    name: ClassVar[str] = HOLDOUT
    is_control: ClassVar[bool] = True
    makes_images: ClassVar[bool] = False

    def fit(self, train: LabelledImages, context: RunContext) -> NoImages:
        from lesionbench.builtin.control_samplers import NoImages

        return NoImages(train.shape)
