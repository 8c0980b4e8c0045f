"""The `arrays` dataset: images that were given as arrays in Python, kept as plain files in the folder of their run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from lesionbench.errors import DatasetError
from lesionbench.pipeline.dataset import Dataset, LoadedDataset

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = ("images", "labels", "groups", "ids")
OFFICIAL = "is_test.npy"  # present when the images came with their own division
ABOUT = "about.json"  # the names of the classes, and whether the groups are known


class Arrays(Dataset):
    """Labelled images that `lesionbench.run` wrote into OUT/data; every array in a .npy file of its own.

    Prepare such a folder in Python: `lesionbench.run(dataset=lesionbench.images(array, labels, groups), ...)`.
    """

    name: ClassVar[str] = "arrays"
    reads_any_images: ClassVar[bool] = True

    def load(self, root: Path | None) -> LoadedDataset:
        return read_arrays(root)

    def sources(self, root: Path) -> list[Path]:
        names = [f"{name}.npy" for name in ARRAYS]
        return [root / name for name in (ABOUT, *names, OFFICIAL) if (root / name).is_file()]


def write_arrays(folder: Path, data: LoadedDataset) -> None:
    """Write the images and all that is known about dividing them into this (existing, empty) folder."""
    import numpy as np  # listing the dataset must cost nothing

    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(data.images, name), allow_pickle=False)
    if data.is_test is not None:
        np.save(folder / OFFICIAL, data.is_test, allow_pickle=False)
    about = {"classes": data.images.classes, "groups_known": data.groups_known}
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read_arrays(root: Path | None) -> LoadedDataset:
    """What `write_arrays` wrote; raises DatasetError that says what is missing or damaged."""
    import numpy as np

    from lesionbench.pipeline.images import LabelledImages

    if root is None or not (root / ABOUT).is_file():
        raise DatasetError(
            f"{root} must hold images that lesionbench.run wrote, but there is no {ABOUT} in it; the dataset 'arrays' "
            "is made in Python: lesionbench.run(dataset=lesionbench.images(array, labels), ...)"
        )
    try:
        about = json.loads((root / ABOUT).read_text(encoding="utf-8"))
        images, labels, groups, ids = (np.load(root / f"{name}.npy", allow_pickle=False) for name in ARRAYS)
        is_test = np.load(root / OFFICIAL, allow_pickle=False) if (root / OFFICIAL).is_file() else None
        labelled = LabelledImages(images, labels, groups, ids, tuple(about["classes"]))
        return LoadedDataset(labelled, is_test, bool(about["groups_known"]))
    except Exception as error:  # numpy raises anything on a damaged file
        raise DatasetError(
            f"the images in {root} are damaged ({type(error).__name__}: {error}); run lesionbench.run with the same "
            "images again, into another folder"
        ) from None
