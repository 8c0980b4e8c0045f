"""The dataset `liver-phantom`: drawn liver lesions on drawn CT, so that three classes can be tried without any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lesionbench.pipeline.dataset import Dataset, LoadedDataset

if TYPE_CHECKING:
    from pathlib import Path


class LiverPhantom(Dataset):
    """Cysts, metastases and hemangiomas on portal-phase CT, drawn as radiologists describe them; looks overlap.

    The numbers are those of Frid-Adar 2018, of about 120 patients (the groups), who mostly have lesions of one class.
    Cysts are dark, sharp and even; metastases less dark, irregular, with a rim or a target; hemangiomas brighten in
    nodules from the border inwards - each of these only on average, and the atypical looks of every class are drawn
    too. Lesions measure 10 to 102 mm and fill the same part of a picture, so small ones are blurred and coarse. A
    picture depends on nothing but the seed, the size and its place: the first 53 cysts of 500 are those of `cysts=53`.
    """

    name: ClassVar[str] = "liver-phantom"
    needs_data: ClassVar[bool] = False

    size: int = Field(64, ge=16, le=256, description="height and width of the images in pixels")
    cysts: int = Field(53, ge=1, le=20_000, description="number of images of cysts, one of each")
    metastases: int = Field(64, ge=1, le=20_000, description="number of images of metastases, one of each")
    hemangiomas: int = Field(65, ge=1, le=20_000, description="number of images of hemangiomas, one of each")
    seed: int = Field(0, ge=0, description="another seed draws other patients")

    def load(self, root: Path | None) -> LoadedDataset:
        """The cysts, the metastases, then the hemangiomas: uint8 (N, size, size, 1); `root` is not used."""
        from lesionbench.builtin.liver_drawing import draw_lesions

        images = draw_lesions((self.cysts, self.metastases, self.hemangiomas), self.size, self.seed)
        note = "liver-phantom is drawn, not scanned: it shows how everything works and says nothing about patients"
        return LoadedDataset(images, notes=(note,))
