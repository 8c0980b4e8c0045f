"""The `folder` dataset: any researcher's own images, in class folders or named by a CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from lesionbench.pipeline.dataset import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.dataset import LoadedDataset


class Folder(Dataset):
    """Images of `root`, centre-cropped to squares and resized; classes sorted by name, images by path.

    Without a `table` the classes are the folders `root/CLASS`, or `root/train/CLASS` and `root/test/CLASS`,
    which is then the official split. A `table` is a CSV inside `root` with a row an image; paths in it are
    relative to `root`. A third part called `val`, `valid` or `validation`, as folder or in the split column,
    counts as train, because validation images are always drawn from inside train; the user is told so.
    """

    name: ClassVar[str] = "folder"
    reads_any_images: ClassVar[bool] = True

    size: int = Field(64, ge=8, le=1024, description="Height and width of the images, in pixels.")
    channels: Annotated[Literal["auto", "1", "3"], BeforeValidator(str)] = Field(
        "auto", description="1 (grey), 3 (colour), or auto: 1 when no image has any colour."
    )
    table: str = Field("", description="CSV file inside the folder with a row an image; empty: classes are folders.")
    path_column: str = Field("path", min_length=1, description="Column of the table with the image's path.")
    label_column: str = Field("label", min_length=1, description="Column of the table with the image's class.")
    group_column: str = Field("group", description="Column of the table with the patient or lesion, if it has one.")
    split_column: str = Field("split", description="Column of the table with train or test, if it has one.")
    keep_shared_groups: bool = Field(
        False, description="Use the data's own split although groups stand on both sides of it."
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
