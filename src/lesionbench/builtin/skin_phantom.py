"""The dataset `skin-phantom`: drawn lesions on drawn skin, so that everything can be tried without any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lesionbench.pipeline.dataset import Dataset, LoadedDataset

if TYPE_CHECKING:
    from pathlib import Path


class SkinPhantom(Dataset):
    """Benign and malignant skin lesions, drawn by the ABCD rule; the classes overlap, as they do in life.

    Benign lesions are rounder, more even and of fewer colours; malignant ones asymmetric, irregular at the border,
    of several colours and larger - each of these only on average. One to three pictures show one lesion (a group)
    at another zoom, rotation and light. The classes take turns, in training and in test, so half of the images of
    each are malignant (of an odd number, one fewer). A picture depends on nothing but the seed, the size and its
    place: the first 100 training images of 600 are those of `train=100`.
    """

    name: ClassVar[str] = "skin-phantom"
    needs_data: ClassVar[bool] = False
    positive_class: ClassVar[str | None] = "malignant"

    size: int = Field(32, ge=16, le=256, description="height and width of the images in pixels")
    train: int = Field(600, ge=2, le=20_000, description="number of training images, half of each class")
    test: int = Field(300, ge=2, le=20_000, description="number of test images, half of each class, of other lesions")
    seed: int = Field(0, ge=0, description="another seed draws other lesions")

    def load(self, root: Path | None) -> LoadedDataset:
        """The training images, then the test images: uint8 (train + test, size, size, 3); `root` is not used."""
        from lesionbench.builtin.skin_drawing import draw_parts

        images, is_test = draw_parts(self.train, self.test, self.size, self.seed)
        note = "skin-phantom is drawn, not photographed: it shows how everything works and says nothing about patients"
        return LoadedDataset(images, is_test, notes=(note,))
