"""Where a dataset's files lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.errors import DatasetError, Try
from lesionbench.given_files import path_problem
from lesionbench.pipeline.dataset import Dataset

if TYPE_CHECKING:
    from lesionbench.plugins import Found

VARIABLE = "LESIONBENCH_DATA"
NAME_FOLDER = Try("name their folder with {data}", data="DIR")


def find_data(dataset: Dataset, given: Path | None) -> Path | None:
    """The dataset's folder: `given`, else $LESIONBENCH_DATA/NAME, else the user's data folder; None when it is made.

    Raises DatasetError that names the places that were looked in.
    """
    if not dataset.needs_data:
        if given is not None:
            raise DatasetError(f"{dataset.name!r} is made, not read", Try("leave out {data}", data=given))
        return None
    if given is not None:
        return _existing(given)
    if dataset.reads_any_images:
        raise DatasetError(f"the dataset {dataset.name!r} reads your own images", NAME_FOLDER)
    places = usual_places(dataset.name)
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(str(place) for place in places)
    raise DatasetError(f"no images of {dataset.name!r} were found (looked in {looked})", NAME_FOLDER)


def usual_places(name: str) -> list[Path]:
    """Where a dataset's folder is looked for when it is not given."""
    import platformdirs

    variable = os.environ.get(VARIABLE)
    places = [Path(variable) / name] if variable else []
    return [*places, Path(platformdirs.user_data_dir("lesionbench")) / name]


def data_for_checks(found: Found, given: Path | None) -> Path | None:
    """The folder to check a plugin with: `given`, else the first usual place that exists; None when it reads none."""
    if not issubclass(found.cls, Dataset) or not found.cls.needs_data:
        return None
    if given is not None:
        return _existing(given)
    return next(filter(Path.is_dir, usual_places(found.name)), None)


def _existing(given: Path) -> Path:
    """The folder that was given; raises DatasetError unless it is one."""
    wrong = path_problem(given)
    if wrong:
        raise DatasetError(wrong, NAME_FOLDER)
    if not os.path.isdir(given):  # noqa: PTH112  # a Path raises an error for a name that is too long
        raise DatasetError(f"the data must be in an existing folder, not {given}", NAME_FOLDER)
    return given
