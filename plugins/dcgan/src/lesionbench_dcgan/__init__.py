"""The augmenter `dcgan`: one pair of networks for each class, trained on the real images of that class alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lesionbench import Augmenter, StackableAugmenter, hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench import FittedPart, LabelledImages, RunContext, Sampler


class Dcgan(StackableAugmenter):
    """A deep convolutional GAN for each class (Radford et al. 2016), with the networks of one of two papers."""

    name: ClassVar[str] = "dcgan"

    architecture: Literal["kth", "frid-adar"] = Field(
        "kth", description="the networks: of the KTH report (32 px) or of Frid-Adar et al. 2018 (64 px)"
    )
    steps: int = Field(1200, ge=1, description="optimizer steps of each network, for each class")
    batch_size: int = Field(64, ge=2, description="real images per step, and the same number of synthetic ones")
    learning_rate: float = Field(2e-4, gt=0, description="Adam's learning rate, for both networks")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the mean gradient")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the mean squared gradient")

    def parts(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return classes

    def fit_part(self, part: int, train: LabelledImages, context: RunContext) -> FittedPart:
        from lesionbench_dcgan.fit import fit_class

        return fit_class(self, train, part, context)

    def fit_stacked(self, train: LabelledImages, context: RunContext) -> Sequence[FittedPart]:
        from lesionbench_dcgan.fit import fit_stacked

        return fit_stacked(self, train, context)

    def join(self, parts: Sequence[FittedPart], train: LabelledImages, context: RunContext) -> Sampler:
        from lesionbench_dcgan.fit import join

        return join(self, parts, train, context)

    def load(self, folder: Path) -> Sampler:
        from lesionbench_dcgan.sampler import DcganSampler

        return DcganSampler.load(folder)


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """The DCGAN."""
    return [Dcgan]
