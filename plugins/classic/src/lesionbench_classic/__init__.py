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
    """Rotated, then flipped, shifted or zoomed copies of the real images, every lesion copied equally often.

    The paper keeps, of every lesion, N_rot rotations, and of every rotation 3 flips, 7 shifts and 5 zooms:
    N = N_rot (1 + 3 + 7 + 5), a sum, not a product (Frid-Adar et al. 2018, III-A). A copy here is one draw
    from that set. Nothing is learnt, so `fit` only keeps the images.
    """

    name: ClassVar[str] = "classic"
    changes_images: ClassVar[bool] = True

    rotation: float = Field(
        180.0,
        ge=0,
        le=360,
        description="Largest angle in degrees: every copy is turned by a random angle in [0, rotation]; 0 turns none.",
    )
    flips: bool = Field(
        True, description="Whether 3 of 16 copies are also flipped: left-right, up-down, or both; equally often."
    )
    translation: float = Field(
        0.0625,
        ge=0,
        le=0.5,
        description="Largest shift of 7 of 16 copies, along each axis, as a share of the shorter side "
        "(0.0625 is 4 of 64 pixels); 0 shifts none.",
    )
    scale_min: float = Field(
        0.83, gt=0, le=10, description="Smallest zoom of 5 of 16 copies: 0.83 shows the lesion at 0.83 of its size."
    )
    scale_max: float = Field(
        1.25, gt=0, le=10, description="Largest zoom of 5 of 16 copies; scale_min=1 and scale_max=1 zooms none."
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
    """Bring `classic`."""
    return [Classic]
