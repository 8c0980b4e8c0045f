"""The dataset `liver-lesion`, and the command `cut-rois` that cuts lesions out of whole CT scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lesionbench import Dataset, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lesionbench import LoadedDataset


class LiverLesion(Dataset):
    """Grey regions of interest from CT slices, `root/CLASS/*` (cyst, metastasis, hemangioma).

    `patients.csv` in `root` says which patient an image shows; without it, every file name must be PATIENT_LESION, such
    as p012_3.png. Images of unknown patients are refused, unless `groups` is waived.
    """

    name: ClassVar[str] = "liver-lesion"

    size: int = Field(64, ge=8, le=1024, description="Height and width of the images, in pixels.")
    groups: Literal["patients", "waived"] = Field(
        "patients", description="patients: a patient's images stay on one side of a split; waived: they may be on both."
    )
    window_level: float = Field(
        60, ge=-2000, le=4000, description="Middle of the grey range, for files in HU such as .npy."
    )
    window_width: float = Field(
        400, ge=1, le=8000, description="Width of the grey range, for files in HU such as .npy."
    )
    hu_offset: float | None = Field(
        None, description="For 16-bit PNG: HU = value - hu_offset; unset: 0..65535 becomes black..white."
    )

    def load(self, root: Path | None) -> LoadedDataset:
        from lesionbench_liver_lesion.reader import load

        return load(self, root)

    def sources(self, root: Path) -> list[Path]:
        from lesionbench_liver_lesion.listing import usable_listing

        return usable_listing(self, root).sources()

    def problems(self, root: Path | None) -> list[str]:
        from lesionbench_liver_lesion.reader import problems

        return problems(self, root)


@hookimpl
def register_datasets() -> list[type[Dataset]]:
    return [LiverLesion]


@hookimpl
def register_data_commands() -> list[Callable[..., None]]:
    from lesionbench_liver_lesion.cut_rois_command import cut_rois  # pydicom and nibabel are slow to import

    return [cut_rois]
