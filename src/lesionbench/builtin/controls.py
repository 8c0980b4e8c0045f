"""The two controls that every augmentation is measured against: no images, and the real ones again."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lesionbench.pipeline.augmenter import Augmenter

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.builtin.control_samplers import NoImages, RealAgain
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import LabelledImages


class NoAugmenter(Augmenter):
    """No synthetic images: the baseline, always run. Its only dose is 0."""

    name: ClassVar[str] = "none"
    makes_images: ClassVar[bool] = False  # the contract's checks of samples are skipped

    def fit(self, train: LabelledImages, context: RunContext) -> NoImages:
        from lesionbench.builtin.control_samplers import NoImages

        return NoImages(train.shape)


class Oversample(Augmenter):
    """The real images again: every image of a class once, in a random order, before any comes twice."""

    name: ClassVar[str] = "oversample"

    def fit(self, train: LabelledImages, context: RunContext) -> RealAgain:
        from lesionbench.builtin.control_samplers import RealAgain

        return RealAgain(train.images, train.labels)

    def load(self, folder: Path) -> RealAgain:
        from lesionbench.builtin.control_samplers import RealAgain

        return RealAgain.load(folder)
