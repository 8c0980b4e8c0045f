"""Classic augmentation: rotation, flips, translation, scale, as in Frid-Adar et al. 2018, section III-A."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from lesionbench import Augmenter, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import LabelledImages, RunContext
    from lesionbench_classic.sampler import ClassicSampler


class Classic(Augmenter):
    """Copies of the real images, rotated and then flipped, shifted or zoomed; every lesion is copied equally often.

    The paper keeps N_rot rotations of every lesion, and 3 flips, 7 shifts and 5 zooms of every rotation:
    N = N_rot (1 + 3 + 7 + 5), a sum, not a product (Frid-Adar et al. 2018, III-A). A copy here is one random element
    of that set. Nothing is learned: `fit` only keeps the images.
    """

    name: ClassVar[str] = "classic"
    changes_images: ClassVar[bool] = True

    rotation: float = Field(
        180.0,
        ge=0,
        le=360,
        description="Largest angle in degrees: every copy is rotated by a random angle in "
        "[0, rotation]; 0 switches rotation off.",
    )
    flips: bool = Field(
        True, description="Whether 3 of 16 copies are also flipped: left-right, up-down or both, equally often."
    )
    translation: float = Field(
        0.0625,
        ge=0,
        le=0.5,
        description="Largest shift of 7 of 16 copies along each axis, as a fraction of the shorter side "
        "(0.0625 is 4 of 64 pixels); 0 switches shifts off.",
    )
    scale_min: float = Field(
        0.83, gt=0, le=10, description="Smallest zoom of 5 of 16 copies: 0.83 shows the lesion at 0.83 of its size."
    )
    scale_max: float = Field(
        1.25, gt=0, le=10, description="Largest zoom of 5 of 16 copies; scale_min=1 and scale_max=1 switch zooms off."
    )

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> Self:
        if self.scale_min > self.scale_max:
            raise ValueError(
                f"scale_min must not be above scale_max, but {self.scale_min:g} is above {self.scale_max:g}; "
                f"try scale_min={self.scale_max:g},scale_max={self.scale_min:g}"
            )
        return self

    def fit(self, train: LabelledImages, context: RunContext) -> ClassicSampler:
        from lesionbench_classic.sampler import ClassicSampler

        return ClassicSampler(self, train.images, train.labels)

    def load(self, folder: Path) -> ClassicSampler:
        from lesionbench_classic.sampler import ClassicSampler

        return ClassicSampler.load(folder)


@hookimpl
def register_augmenters() -> list[type[Augmenter]]:
    """The augmenter `classic`."""
    return [Classic]
