"""The augmenter `progressive-gan`: a GAN that grows from 4 x 4 pixels to the size of its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from lesionbench import Augmenter, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import LabelledImages, RunContext, Sampler

SIZES = (16, 32, 64, 128, 256)


class ProgressiveGan(Augmenter):
    """Progressive growing of GANs (Karras et al. 2017), one for all classes (as PG-ACGAN) or one a class."""

    name: ClassVar[str] = "progressive-gan"

    size: int = Field(32, description="height and width that it learns: a power of two from 16 to 256")
    conditioning: Literal["auxiliary", "per-class"] = Field(
        "auxiliary", description="one GAN that is told the class and scored by an auxiliary class term, or one a class"
    )
    scale: float = Field(0.03, gt=0, le=100, description="factor on the numbers of images of the schedule")
    fade_images: int = Field(600_000, ge=1, description="images shown while a level fades in, before scaling")
    stable_images: int = Field(600_000, ge=1, description="images shown at a level after its fade-in, before scaling")
    final_images: int = Field(1_800_000, ge=1, description="images shown at the last level instead, before scaling")
    steps: int = Field(
        0, ge=0, description="optimizer steps that the schedule is stretched or shrunk to; 0: as scale says"
    )
    batch_size: int = Field(16, ge=4, multiple_of=4, description="real images a step, and as many synthetic ones")
    width: int = Field(64, ge=1, le=1024, description="most features of a layer")
    base: int = Field(256, ge=1, le=65536, description="features times a layer's stage of halving: base / 2**stage")
    latent: int = Field(64, ge=2, le=4096, description="length of the latent vector")
    penalty_every: int = Field(
        4, ge=1, description="steps from one gradient penalty, so many times as strong, to the next"
    )
    learning_rate: float = Field(1e-3, gt=0, description="Adam's learning rate, for both networks")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the mean gradient")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the mean squared gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay a step of the averaged generator, which draws the images")

    @field_validator("size")
    @classmethod
    def _is_a_level(cls, size: int) -> int:
        if size not in SIZES:
            raise ValueError("must be a power of two from 16 to 256 (16, 32, 64, 128 or 256)")
        return size

    def fit(self, train: LabelledImages, context: RunContext) -> Sampler:
        from lesionbench_progressive_gan.fit import fit

        return fit(self, train, context)

    def load(self, folder: Path) -> Sampler:
        from lesionbench_progressive_gan.sampler import ProgressiveSampler

        return ProgressiveSampler.load(folder)


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """The progressive GAN."""
    return [ProgressiveGan]
