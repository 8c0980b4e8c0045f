"""Liver lesions on CT as a lesionbench dataset, and the command that cuts them out of whole scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lesionbench import Dataset, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lesionbench import LoadedDataset


class LiverLesion(Dataset):
    """Regions of interest cut from CT slices, `root/CLASS/*` (cyst, metastasis, hemangioma), in grey.

    Which patient an image shows is said by `patients.csv` in `root`; without it every file must be called
    PATIENT_LESION, as p012_3.png. Images that cannot be told apart by patient are refused, unless that is waived.
    """

    name: ClassVar[str] = "liver-lesion"

    size: int = Field(64, ge=8, le=1024, description="Height and width of the images, in pixels.")
    groups: Literal["patients", "waived"] = Field(
        "patients", description="patients: one patient's images stay on one side of a split; waived: they need not."
    )
    window_level: float = Field(60, ge=-2000, le=4000, description="Middle of the grey range of HU, such as in .npy.")
    window_width: float = Field(400, ge=1, le=8000, description="Width of the grey range of HU, such as in .npy.")
    hu_offset: float | None = Field(
        None, description="HU = value - hu_offset in 16-bit PNG; unset: 0..65535 becomes black..white."
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
