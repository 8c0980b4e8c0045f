"""The augmenter `acgan`, one conditional GAN for all classes, and the classifier `acgan-discriminator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from lesionbench import Augmenter, Classifier, Plugin, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import LabelledImages, Predictor, RunContext, Sampler, TrainingSet


class AcganSettings(Plugin):
    """Settings of an ACGAN's networks and their training, shared by the augmenter and the classifier."""

    architecture: Literal["frid-adar", "odena"] = Field(
        "frid-adar", description="the networks: of Frid-Adar et al. 2018 or of Odena et al. 2016"
    )
    size: int = Field(32, ge=16, le=256, description="side of the networks' images in pixels, a power of two")
    width: int = Field(
        16, ge=1, description="channels of the discriminator's first layer; the papers: 64 (frid-adar), 16 (odena)"
    )
    steps: int = Field(4000, ge=1, description="optimizer steps of each network")
    batch_size: int = Field(64, ge=2, description="real images per step, and the same number of synthetic ones")
    learning_rate: float = Field(1e-4, gt=0, description="Adam's learning rate, for both networks")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the mean gradient")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the mean squared gradient")

    @field_validator("size")
    @classmethod
    def _power_of_two(cls, size: int) -> int:
        if size & (size - 1):
            raise ValueError("must be 16, 32, 64, 128 or 256")
        return size


class Acgan(AcganSettings, Augmenter):
    """An auxiliary classifier GAN (Odena et al. 2016): one pair of networks for all classes."""

    name: ClassVar[str] = "acgan"

    def fit(self, train: LabelledImages, context: RunContext) -> Sampler:
        from lesionbench_acgan.fit import fit

        return fit(self, train, context)

    def load(self, folder: Path) -> Sampler:
        from lesionbench_acgan.sampler import AcganSampler

        return AcganSampler.load(folder)


class AcganDiscriminator(AcganSettings, Classifier):
    """The discriminator of an ACGAN, used directly as a classifier (Frid-Adar et al. 2018, table IV)."""

    name: ClassVar[str] = "acgan-discriminator"

    steps: int = Field(2000, ge=1, description="optimizer steps of each network")

    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        from lesionbench_acgan.classifying import fit_discriminator

        return fit_discriminator(self, train, context)

    def load(self, folder: Path) -> Predictor:
        from lesionbench_acgan.classifying import load_discriminator

        return load_discriminator(self, folder)


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """The generator."""
    return [Acgan]


@hookimpl
def register_classifiers() -> list[type[Classifier]]:
    """The discriminator."""
    return [AcganDiscriminator]
