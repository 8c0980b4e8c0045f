"""From scans and lesions to class folders of ROIs: all steps of `lesionbench data cut-rois`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench import DatasetError
from lesionbench_liver_lesion.cut_rois.lesion import Lesion, lesions_in
from lesionbench_liver_lesion.cut_rois.mask import read_mask
from lesionbench_liver_lesion.cut_rois.output import Cut, check_output, write_output
from lesionbench_liver_lesion.cut_rois.roi import cut, grey
from lesionbench_liver_lesion.cut_rois.secret import Secret
from lesionbench_liver_lesion.cut_rois.settings import check_salt

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench_liver_lesion.cut_rois.case import Case, Request
    from lesionbench_liver_lesion.cut_rois.settings import CutSettings
    from lesionbench_liver_lesion.cut_rois.volume import Volume


@dataclass(frozen=True)
class Summary:
    """What was written: the number of ROIs of each class, the number of patients, and notes to the user."""

    classes: dict[str, int]
    patients: int
    notes: tuple[str, ...]


def cut_all(request: Request, settings: CutSettings, salt: str | None, out: Path) -> Summary:
    """Cut every lesion and write the new folder `out`; if it raises InputError, nothing is written.

    salt: makes the hashes reproducible; None: uses a random key, so nobody can compute them again.
    """
    check_salt(salt)
    out = check_output(out)
    cases = request.resolved(settings)
    secret, notes, cuts = Secret.of(salt), list[str](), dict[str, Cut]()
    several = len({(case.scan.resolve(), case.series) for case in cases}) > 1
    named_by: dict[str, Case] = {}  # the source of patient names (the table or a DICOM tag) and a case that uses it
    for case in cases:
        volume = case.volume()
        patient = _patient(case, volume, several)
        named_by[patient.partition(":")[0]] = case
        _refuse_two_namings(named_by)
        lesions, lesion_notes = _lesions(case, volume, settings)
        notes += [*([volume.note] if volume.note else []), *lesion_notes]
        for lesion in lesions:
            _add(cuts, _cut(volume, lesion, settings, secret, patient), volume)
    write_output(out, [cuts[name] for name in sorted(cuts)], settings, salted=salt is not None)
    classes = {name: sum(one.label == name for one in cuts.values()) for name in settings.classes}
    return Summary(classes, len({one.patient for one in cuts.values()}), tuple(dict.fromkeys(notes)))


def _patient(case: Case, volume: Volume, several: bool) -> str:
    """The patient of a scan, not to be written; raises DatasetError if it is unknown and there are several scans."""
    if case.patient is not None:
        return f"given:{case.patient}"
    if volume.patient is not None:
        return volume.patient
    if several:
        raise DatasetError(
            f"{case.scan}: whose scan it is must be known, because a patient's scans belong together, but the file "
            "does not say; add a column patient to the table"
        )
    return f"series:{volume.series}"


def _refuse_two_namings(named_by: dict[str, Case]) -> None:
    """Raise DatasetError if patient names come from two sources: one patient could then count as two."""
    if len(named_by) > 1:
        named = " and ".join(f"{tag} in {case.scan}" for tag, case in named_by.items())
        raise DatasetError(f"patients must be named in one way, but it is {named}; add a column patient to the table")


def _lesions(case: Case, volume: Volume, settings: CutSettings) -> tuple[list[Lesion], list[str]]:
    if case.mask is None:
        return _annotated_lesions(case, volume, settings)
    if not case.mask.exists():
        raise DatasetError(f"{case.mask}: there is no such mask")
    masks, notes = read_mask(case.mask, volume, settings, case.label)
    lesions, small = list[Lesion](), 0
    for mask in masks:
        found, smaller = lesions_in(mask, volume, settings.every_slice, settings.min_diameter)
        lesions, small = lesions + found, small + smaller
    if not lesions:
        raise DatasetError(
            f"{case.mask}: no lesion is at least {settings.min_diameter:g} mm wide; lower --min-diameter, "
            "or leave the mask out"
        )
    return lesions, notes + _smaller(str(case.mask), small, settings)


def _annotated_lesions(case: Case, volume: Volume, settings: CutSettings) -> tuple[list[Lesion], list[str]]:
    lesions = [annotation.lesion(volume) for annotation in case.annotations]
    large = [lesion for lesion in lesions if lesion.diameter >= settings.min_diameter]
    return large, _smaller(str(case.scan), len(lesions) - len(large), settings)


def _smaller(where: str, count: int, settings: CutSettings) -> list[str]:
    return [f"{where}: {count} smaller than {settings.min_diameter:g} mm were ignored"] if count else []


def _cut(volume: Volume, lesion: Lesion, settings: CutSettings, secret: Secret, patient: str) -> Cut:
    name = volume.slice_name(lesion.slice_)
    place = (name.key, f"{lesion.row:.3f}", f"{lesion.column:.3f}", f"{lesion.diameter:.3f}")
    roi = cut(volume, lesion, settings.margin)
    return Cut(
        lesion=lesion,
        roi=roi,
        image=grey(roi, settings),
        id=secret.hash("lesion", volume.series, *place),
        patient=secret.hash("patient", patient),
        series=secret.hash("series", volume.series),
        slice_number=name.number,
        pixel_mm=(float(volume.grid.spacing[1]), float(volume.grid.spacing[0])),
    )


def _add(cuts: dict[str, Cut], new: Cut, volume: Volume) -> None:
    twin = cuts.setdefault(new.id, new)
    if twin is not new:
        raise DatasetError(
            f"{volume.path}: a lesion may stand once, but the one on slice {new.slice_number} at column "
            f"{new.lesion.column:g}, row {new.lesion.row:g} is given twice ({twin.label}, {new.label})"
        )
