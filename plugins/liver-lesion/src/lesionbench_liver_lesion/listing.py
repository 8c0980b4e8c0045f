"""Listing the images in the class folders with their patients, and everything that is wrong with them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lesionbench import DatasetError, Try, spec_of
from lesionbench.image_files import SUFFIXES, first_of, image_paths
from lesionbench_liver_lesion.patients import PATIENTS_FILE, patients_by_name, patients_by_table, spelling_problems

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench_liver_lesion import LiverLesion

CLASSES = ("cyst", "metastasis", "hemangioma")  # in the papers' order; other classes follow, sorted
ROI_SUFFIXES = SUFFIXES | {".npy"}
SCANS = frozenset({".dcm", ".nii", ".gz", ".nrrd"})
LAYOUT = "class folders such as cyst/, metastasis/ and hemangioma/"


@dataclass(frozen=True)
class Roi:
    """One image file, its class and the patient it shows; None where the patient is not known."""

    path: Path
    id: str  # the path relative to the root, with forward slashes
    label: str
    patient: str | None = None


@dataclass
class Listing:
    """The images in the order of their ids, the tables that were read, what is wrong, and notes to the user."""

    rois: list[Roi] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that were found, the papers' first."""
        found = {roi.label for roi in self.rois}
        return (*(name for name in CLASSES if name in found), *sorted(found - set(CLASSES)))

    def sources(self) -> list[Path]:
        """Every file that is read, in a fixed order."""
        return [*self.tables, *(roi.path for roi in self.rois)]


def usable_listing(settings: LiverLesion, root: Path | None) -> Listing:
    """The listing of the folder; raises DatasetError if anything is wrong with it."""
    listing = list_rois(settings, root)
    refuse(listing.problems, settings, root)
    return listing


def refuse(problems: list[str], settings: LiverLesion, root: Path | None) -> None:
    """Raise one DatasetError that names the first problems, if there are any."""
    if len(problems) == 1:
        raise DatasetError(problems[0])
    if problems:
        raise DatasetError(
            first_of(problems, f"{root} cannot be used, {len(problems)} things are wrong with it"),
            Try(f"list all of them: lesionbench data check {shlex.quote(spec_of(settings))} {{data}}", data=root),
        )


def list_rois(settings: LiverLesion, root: Path | None) -> Listing:
    """The listing of the folder with its problems; raises DatasetError if the folder or the table cannot be read."""
    if root is None:
        raise DatasetError(
            "the dataset 'liver-lesion' reads your own images", Try("name their folder with {data}", data="DIR")
        )
    if not root.is_dir():
        raise DatasetError(
            f"{root}: the folder of images must exist, and it does not", Try("name it with {data}", data="DIR")
        )
    listing = _in_class_folders(root)
    if listing.rois:
        _name_patients(listing, settings, root)
    return listing


def _in_class_folders(root: Path) -> Listing:
    """The images of `root/CLASS` at any depth, without their patients."""
    paths = image_paths(root, ROI_SUFFIXES)
    rois = [
        Roi(path, path.relative_to(root).as_posix(), path.relative_to(root).parts[0].strip().lower())
        for path in paths
        if path.parent != root
    ]
    listing = Listing(sorted(rois, key=lambda roi: roi.id))
    if not paths:
        listing.problems.append(f"{root} must hold {LAYOUT} with images, but no image was found{_scans_hint(root)}")
        return listing
    loose = [path for path in paths if path.parent == root]
    listing.problems += [f"{path}: an image must lie in {LAYOUT}; move it into one, or out" for path in loose]
    listing.problems += [
        f"{folder}: a class folder must hold images, but this one holds none; fill it or remove it"
        for folder in _subfolders(root)
        if not any(path.is_relative_to(folder) for path in paths)
    ]
    listing.problems += _twins(rois)
    if rois and len(listing.classes) < 2:
        only = listing.classes[0]
        listing.problems.append(f"{root}: at least two classes are needed, but there is only {only}; add another")
    return listing


def _twins(rois: list[Roi]) -> list[str]:
    """A line for each image that exists in two formats."""
    first: dict[Path, Path] = {}
    pairs = [(roi.path, first.setdefault(roi.path.with_suffix(""), roi.path)) for roi in rois]
    return [f"{other}: an image may be there once, but {one.name} is there too" for other, one in pairs if other != one]


def _subfolders(root: Path) -> list[Path]:
    folders = (path for path in root.iterdir() if path.is_dir())
    return sorted(path for path in folders if not path.name.startswith(".") and path.name != "__MACOSX")


def _scans_hint(root: Path) -> str:
    scans = (path for path in root.rglob("*") if path.suffix.lower() in SCANS)
    return "; cut the lesions out of the scans first: lesionbench data cut-rois --help" if any(scans) else ""


def _name_patients(listing: Listing, settings: LiverLesion, root: Path) -> None:
    """Add the patient of every image, from the table or else from the file names; adds problems if that fails."""
    table = root / PATIENTS_FILE
    if settings.groups == "waived":
        ignored = f"; {PATIENTS_FILE} is there and is not read" if table.is_file() else ""
        listing.notes.append(
            "patients are waived: images of one patient may stand on both sides of a split, "
            f"and results look better than they are{ignored}"
        )
        return
    ids = [roi.id for roi in listing.rois]
    if table.is_file():
        listing.tables.append(table)
        patients, problems = patients_by_table(table, ids)
    else:
        patients, problems = patients_by_name(root, ids)
    problems += spelling_problems(patients)
    if not problems and len(set(patients.values())) < 2:
        problems.append(f"{root}: images of at least two patients are needed, but all show {min(patients.values())}")
    listing.problems += problems
    listing.rois = [Roi(roi.path, roi.id, roi.label, patients.get(roi.id)) for roi in listing.rois]
