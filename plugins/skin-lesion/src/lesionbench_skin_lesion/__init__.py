"""The dataset `skin-lesion`: the Kaggle set of benign and malignant skin lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lesionbench import Dataset, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import LoadedDataset


class SkinLesion(Dataset):
    """Benign and malignant skin lesions, `{train,test}/{benign,malignant}/*`, with the published split.

    The archive contains the tree twice, and people unpack it in several ways: we read the shallowest folder with both
    train and test, and nothing below or beside it. `groups.csv`, beside train and test, says which images show the same
    lesion; without it, lesions may be on both sides of a split, and a note says so.
    """

    name: ClassVar[str] = "skin-lesion"
    positive_class: ClassVar[str | None] = "malignant"

    size: int = Field(32, ge=8, le=1024, description="Height and width of the images, in pixels.")
    test: Literal["official", "clean"] = Field(
        "official",
        description="official: the published test images; clean: without those whose lesion is also in train; "
        "they are left out of folds too (needs groups.csv).",
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
