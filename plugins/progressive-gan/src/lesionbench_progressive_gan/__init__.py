"""The augmenter `progressive-gan`: a GAN that grows from 4 x 4 pixels to the size of its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from lesionbench import Augmenter, AugmenterInParts, hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench import FittedPart, LabelledImages, RunContext, Sampler

SIZES = (16, 32, 64, 128, 256)


class ProgressiveGan(AugmenterInParts):
    """Progressive growing of GANs (Karras et al. 2017), one for all classes (like PG-ACGAN) or one for each class."""

    name: ClassVar[str] = "progressive-gan"

    size: int = Field(
        32, description="height and width of the generated images in pixels: a power of two from 16 to 256"
    )
    conditioning: Literal["auxiliary", "per-class"] = Field(
        "auxiliary", description="one GAN with class labels and an auxiliary class loss, or one GAN for each class"
    )
    scale: float = Field(0.03, gt=0, le=100, description="factor for the numbers of images in the schedule")
    fade_images: int = Field(600_000, ge=1, description="images shown while a level fades in, before scaling")
    stable_images: int = Field(600_000, ge=1, description="images shown at a level after its fade-in, before scaling")
    final_images: int = Field(1_800_000, ge=1, description="the same at the last level, before scaling")
    steps: int = Field(
        0, ge=0, description="total optimizer steps, to which the schedule is stretched or shrunk; 0: use scale"
    )
    batch_size: int = Field(
        16, ge=4, multiple_of=4, description="real images per step, and the same number of synthetic ones"
    )
    width: int = Field(64, ge=1, le=1024, description="largest number of features in a layer")
    base: int = Field(
        256, ge=1, le=65536, description="features at stage 0; every stage halves them: base / 2**stage, at most width"
    )
    latent: int = Field(64, ge=2, le=4096, description="length of the latent vector")
    penalty_every: int = Field(
        4, ge=1, description="steps between gradient penalties, which are multiplied by this number"
    )
    learning_rate: float = Field(1e-3, gt=0, description="Adam's learning rate, for both networks")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the mean gradient")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the mean squared gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay per step of the averaged generator, which draws images")

    @field_validator("size")
    @classmethod
    def _is_a_level(cls, size: int) -> int:
        if size not in SIZES:
            raise ValueError("must be a power of two from 16 to 256 (16, 32, 64, 128 or 256)")
        return size

    def parts(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return ("all classes",) if self.conditioning == "auxiliary" else classes

    def fit_part(self, part: int, train: LabelledImages, context: RunContext) -> FittedPart:
        from lesionbench_progressive_gan.fit import fit_part

        return fit_part(self, train, part, context)

    def join(self, parts: Sequence[FittedPart], train: LabelledImages, context: RunContext) -> Sampler:
        from lesionbench_progressive_gan.fit import join

        return join(self, parts, train, context)

    def load(self, folder: Path) -> Sampler:
        from lesionbench_progressive_gan.sampler import ProgressiveSampler

        return ProgressiveSampler.load(folder)


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """The progressive GAN."""
    return [ProgressiveGan]
