"""Which scan is cut with which mask or annotations, and whose it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench import DatasetError, SettingsError, did_you_mean
from lesionbench.tables import read_rows
from lesionbench_liver_lesion.cut_rois import nifti
from lesionbench_liver_lesion.cut_rois.annotation import Annotation, read_annotations
from lesionbench_liver_lesion.cut_rois.series import read_series
from lesionbench_liver_lesion.cut_rois.slice_file import stem

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench_liver_lesion.cut_rois.settings import CutSettings
    from lesionbench_liver_lesion.cut_rois.volume import Volume

WAYS = "SCAN --mask FILE, SCAN... --annotations FILE.csv, or --cases FILE.csv"
CASE_COLUMNS = ("scan", "mask")


@dataclass(frozen=True)
class Case:
    """One scan and the lesions in it: a mask with an optional class of its own, or annotations."""

    scan: Path
    series: str | None = None
    patient: str | None = None
    mask: Path | None = None
    label: str | None = None
    annotations: tuple[Annotation, ...] = ()

    def volume(self) -> Volume:
        """The scan; raises DatasetError if it does not exist or cannot be used."""
        if not self.scan.exists():
            raise DatasetError(f"{self.scan}: there is no such scan")
        return nifti.read_volume(self.scan) if nifti.is_nifti(self.scan) else read_series(self.scan, self.series)


@dataclass(frozen=True)
class Request:
    """The scans and lesions named on the command line, in exactly one of the WAYS; raises SettingsError."""

    scans: tuple[Path, ...] = ()
    mask: Path | None = None
    annotations: Path | None = None
    cases: Path | None = None
    series: str | None = None
    patient: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("mask", "annotations", "cases") if getattr(self, name) is not None]
        if len(given) != 1 or bool(self.scans) != (given != ["cases"]):
            raise SettingsError(f"the lesions must be given in one way: {WAYS}")
        if given == ["mask"] and len(self.scans) != 1:
            raise SettingsError(f"--mask goes with one scan, not {len(self.scans)}; for more, list them with --cases")
        if len(self.scans) != 1 and (self.series or self.patient):
            raise SettingsError("--series and --patient go with one scan; for more, use the columns of the table")
        if self.annotations is not None and self.patient:
            raise SettingsError("--patient goes with --mask; with --annotations, use the table's column patient")

    def resolved(self, settings: CutSettings) -> list[Case]:
        """The cases in order; raises DatasetError or SettingsError."""
        if self.cases is not None:
            cases = _from_table(self.cases, settings)
        elif self.annotations is not None:
            cases = _annotated(self.scans, read_annotations(self.annotations, settings), self.series)
        else:
            cases = [Case(self.scans[0], self.series, self.patient, self.mask, settings.label)]
        for case in cases:
            if case.mask is not None and case.label is None and not settings.mask_labels:
                raise SettingsError(
                    f"{case.mask}: the class of its lesions must be known: add --label CLASS for the whole mask, "
                    f"or --mask-label VALUE=CLASS ({', '.join(settings.classes)})"
                )
        return cases


def _from_table(path: Path, settings: CutSettings) -> list[Case]:
    """The cases of a table: scan and mask (relative to the table), and optionally label, patient and series."""
    columns, rows = read_rows(path)
    for name in CASE_COLUMNS:
        if name not in columns:
            raise DatasetError(
                f"{path}: there is no column {name!r}{did_you_mean(name, columns)} (columns: {', '.join(columns)}); "
                "a table of cases needs scan and mask, and may have label, patient and series"
            )
    if not rows:
        raise DatasetError(f"{path}: a table of cases needs one row per scan, but has only its header")
    cases = []
    for line, row in rows:
        where = f"{path} line {line}"
        for name in (*CASE_COLUMNS, *(["patient"] if any(other.get("patient") for _, other in rows) else [])):
            if not row[name]:
                raise DatasetError(f"{where}: {name} is empty; fill in every row")
        label = settings.check_class(row["label"], where) if row.get("label") else settings.label
        scan, mask = path.parent / row["scan"], path.parent / row["mask"]
        cases.append(Case(scan, row.get("series") or None, row.get("patient") or None, mask, label))
    return cases


def _annotated(scans: tuple[Path, ...], annotations: list[Annotation], series: str | None) -> list[Case]:
    """The scans that the rows name, each with its rows; raises DatasetError if a row names none or several."""
    rows: dict[Path, list[Annotation]] = defaultdict(list)
    for one in annotations:
        fitting = [scan for scan in scans if one.series in (str(scan), scan.name, _short(scan))]
        if len(fitting) != 1:
            what = "none of the scans given has such a name" if not fitting else f"{len(fitting)} scans have this name"
            raise DatasetError(
                f"{one.where}: series must be the name of a SCAN (of its file or folder), "
                f"but for {one.series!r} {what}; give its path"
            )
        rows[fitting[0]].append(one)
    return [_annotated_case(scan, rows[scan], series) for scan in scans if scan in rows]


def _annotated_case(scan: Path, rows: list[Annotation], series: str | None) -> Case:
    for one in rows:
        if one.patient != rows[0].patient:
            raise DatasetError(f"{one.where}: a scan shows one patient, but {rows[0].where} names another")
    return Case(scan, series, rows[0].patient, annotations=tuple(rows))


def _short(scan: Path) -> str:
    name = scan.name.lower()
    suffix = next((suffix for suffix in reversed(nifti.SUFFIXES) if name.endswith(suffix)), "")
    return scan.name[: -len(suffix)] if suffix else stem(scan)
