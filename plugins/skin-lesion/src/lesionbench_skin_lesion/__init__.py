"""The Kaggle set of skin lesions, benign and malignant, as a lesionbench dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lesionbench import Dataset, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import LoadedDataset


class SkinLesion(Dataset):
    """Benign and malignant skin lesions, `{train,test}/{benign,malignant}/*`, with the published split.

    The archive holds the tree twice, and people unpack it in several ways: the shallowest folder with both train
    and test is read, and nothing below or beside it. `groups.csv` beside train and test says which images show one
    lesion; without it lesions cannot be kept apart, and the user is told so.
    """

    name: ClassVar[str] = "skin-lesion"
    positive_class: ClassVar[str | None] = "malignant"

    size: int = Field(32, ge=8, le=1024, description="Height and width of the images, in pixels.")
    test: Literal["official", "clean"] = Field(
        "official",
        description="official: the published test images; clean: without those whose lesion is also in train, "
        "which are left out of folds too (needs groups.csv).",
    )

    def load(self, root: Path | None) -> LoadedDataset:
        from lesionbench_skin_lesion.reader import load

        return load(self, root)

    def sources(self, root: Path) -> list[Path]:
        from lesionbench_skin_lesion.tree import find_tree

        return find_tree(root).sources()

    def problems(self, root: Path | None) -> list[str]:
        from lesionbench_skin_lesion.reader import problems

        return problems(self, root)


@hookimpl
def register_datasets() -> list[type[Dataset]]:
    return [SkinLesion]
