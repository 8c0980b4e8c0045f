"""The dataset `liver-phantom`: drawn liver lesions on drawn CT, to try out three classes without any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lesionbench.pipeline.dataset import Dataset, LoadedDataset

if TYPE_CHECKING:
    from pathlib import Path


class LiverPhantom(Dataset):
    """Cysts, metastases and hemangiomas on portal-phase CT, drawn as radiologists describe them; the classes overlap.

    The default numbers are those of Frid-Adar 2018: about 120 patients (the groups), most with lesions of one class.
    Cysts are dark, sharp and homogeneous; metastases are less dark and irregular, with a rim or like a target;
    hemangiomas enhance in nodules from the border inwards. This holds on average; atypical lesions are drawn too.
    Lesions measure 10 to 102 mm and fill the same part of the picture, so small ones look blurred and coarse. A picture
    depends only on the seed, the size and its number: the first 53 cysts of 500 are those of `cysts=53`.
    """

    name: ClassVar[str] = "liver-phantom"
    needs_data: ClassVar[bool] = False

    size: int = Field(64, ge=16, le=256, description="height and width of the images in pixels")
    cysts: int = Field(53, ge=1, le=20_000, description="number of cysts, one image of each")
    metastases: int = Field(64, ge=1, le=20_000, description="number of metastases, one image of each")
    hemangiomas: int = Field(65, ge=1, le=20_000, description="number of hemangiomas, one image of each")
    seed: int = Field(0, ge=0, description="another seed draws other patients")

    def load(self, root: Path | None) -> LoadedDataset:
        """The cysts, the metastases, then the hemangiomas: uint8 (N, size, size, 1); `root` is not used."""
        from lesionbench.builtin.liver_drawing import draw_lesions

        images = draw_lesions((self.cysts, self.metastases, self.hemangiomas), self.size, self.seed)
        note = "liver-phantom is drawn, not scanned: it shows how everything works and says nothing about patients"
        return LoadedDataset(images, notes=(note,))
