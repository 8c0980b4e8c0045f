"""The dataset `skin-phantom`: drawn lesions on drawn skin, to try out everything without any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lesionbench.pipeline.dataset import Dataset, LoadedDataset

if TYPE_CHECKING:
    from pathlib import Path


class SkinPhantom(Dataset):
    """Benign and malignant skin lesions, drawn by the ABCD rule; the classes overlap, as they do in patients.

    Benign lesions are on average rounder, more homogeneous and of fewer colours; malignant ones are asymmetric,
    irregular at the border, larger and of several colours. Each lesion (a group) has one to three pictures with
    different zoom, rotation and light. The classes alternate in training and in test, so half of the images of each
    are malignant (one fewer if the number is odd). A picture depends only on the seed, the size and its number: the
    first 100 training images of 600 are those of `train=100`.
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
