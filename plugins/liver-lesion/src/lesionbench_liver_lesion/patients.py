"""The patient that an image shows: from `patients.csv`, or from the file name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lesionbench import DatasetError, did_you_mean
from lesionbench.tables import read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set
    from pathlib import Path

PATIENTS_FILE = "patients.csv"
COLUMNS = ("file", "patient")
# A patient must contain a digit: cyst_01.png and IMG_0007.png say nothing about patients.
# The lesion is a number, or the hash that cut-rois writes.
NAME = re.compile(r"(?P<patient>.*\d.*)_(?P<lesion>\d+|[0-9a-f]{8,})")


def patients_by_table(table: Path, ids: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The patient of every image with a valid row in the table, and everything that is wrong with the table.

    Raises DatasetError if the file is no table with the columns `file` and `patient`.
    """
    columns, rows = read_rows(table)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise DatasetError(
            f"{table} must have the columns {' and '.join(COLUMNS)}, but lacks {' and '.join(missing)} "
            f"(columns: {', '.join(columns) or 'none'})"
        )
    patients: dict[str, str] = {}
    lines: dict[str, int] = {}
    known, problems = frozenset(ids), []
    for line, row in rows:
        file = PurePosixPath(row["file"].replace("\\", "/")).as_posix()
        problem = _row_problem(file, row["patient"], lines, known)
        lines.setdefault(file, line)
        if problem:
            problems.append(f"{table} line {line}: {problem}")
        else:
            patients[file] = row["patient"]
    problems += [f"{table} must have a row for every image, but {name} has none" for name in ids if name not in lines]
    return patients, problems


def _row_problem(file: str, patient: str, lines: Mapping[str, int], known: Set[str]) -> str:
    if file in lines:
        return f"an image may stand once, but {file} is on line {lines[file]} too"
    if file not in known:
        return f"there is no image {file!r}{did_you_mean(file, known)}; paths are relative to the table's folder"
    return "" if patient else f"the patient of {file} is empty; every image needs one"


def patients_by_name(root: Path, ids: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The patients from file names PATIENT_LESION, and a problem if any file is named differently."""
    found = {name: NAME.fullmatch(PurePosixPath(name).stem) for name in ids}
    others = [name for name, match in found.items() if match is None]
    if not others:
        return {name: match["patient"].strip() for name, match in found.items() if match}, []
    return {}, [
        f"{root}: it must be known whose lesion an image shows, but there is no {PATIENTS_FILE}, and {others[0]} "
        f"({len(others)} of {len(ids)} files) is not called PATIENT_LESION as p012_3.png is; "
        f"write {PATIENTS_FILE} (columns {','.join(COLUMNS)}), or go without: --dataset 'liver-lesion[groups=waived]'"
    ]


def spelling_problems(patients: Mapping[str, str]) -> list[str]:
    """A line for each patient with several spellings that differ only in case and spaces."""
    spellings: dict[str, dict[str, str]] = {}  # the first image of each spelling
    for name, patient in patients.items():
        spellings.setdefault("".join(patient.split()).casefold(), {}).setdefault(patient, name)
    return [
        "one patient must be spelled one way, but "
        + " and ".join(f"{patient!r} ({name})" for patient, name in ways.items())
        + " differ only in case or spaces; write them alike, or give two patients different names"
        for ways in spellings.values()
        if len(ways) > 1
    ]
