"""The `folder` dataset: your own images, in class folders or listed in a CSV table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from lesionbench.pipeline.dataset import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.dataset import LoadedDataset


class Folder(Dataset):
    """Images below `root`, cropped to their central squares and resized; classes sorted by name, images by path.

    Without a `table`, the classes are the folders `root/CLASS`, or `root/train/CLASS` and `root/test/CLASS`, which are
    then the official split. A `table` is a CSV file in `root` with one row for each image; paths in it are relative
    to `root`. A third part called `val`, `valid` or `validation`, as a folder or in the split column, is added to
    train, with a note to the user: validation images are always chosen from train.
    """

    name: ClassVar[str] = "folder"
    reads_any_images: ClassVar[bool] = True

    size: int = Field(64, ge=8, le=1024, description="Height and width of the images, in pixels.")
    channels: Annotated[Literal["auto", "1", "3"], BeforeValidator(str)] = Field(
        "auto", description="1 (grey), 3 (color), or auto: 1 if no image has any color."
    )
    table: str = Field("", description="CSV file in the folder with one row for each image; empty: class folders.")
    path_column: str = Field("path", min_length=1, description="Column of the table with the image's path.")
    label_column: str = Field("label", min_length=1, description="Column of the table with the image's class.")
    group_column: str = Field("group", description="Column of the table with the patient or lesion, if it has one.")
    split_column: str = Field("split", description="Column of the table with train or test, if it has one.")
    keep_shared_groups: bool = Field(
        False, description="Use the data's own split although some groups are on both sides of it."
    )

    def load(self, root: Path | None) -> LoadedDataset:
        from lesionbench.builtin.folder_reader import load

        return load(self, root)

    def sources(self, root: Path) -> list[Path]:
        from lesionbench.builtin.folder_reader import usable_listing

        return usable_listing(self, root).sources()

    def problems(self, root: Path | None) -> list[str]:
        from lesionbench.builtin.folder_reader import problems

        return problems(self, root)
