"""Published values: what a paper printed, and to which arm it corresponds."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError
from lesionbench.evidence.papers.grim import Printed
from lesionbench.given_files import read_whole, reason
from lesionbench.pipeline.arm import Arm
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.pipeline.metrics import METRICS, ClassMetrics

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED_COLUMNS = (
    "paper",
    "table",
    "system",
    "augmenter",
    "synthetic_per_class",
    "on_the_fly",
    "classifier",
    "positive_class",
    "class",
    "metric",
    "published",
    "n",
    "note",
)
CLASS_METRICS = tuple(field.name for field in fields(ClassMetrics) if field.name != "n")

MOST_BYTES = 2**24  # of a file of published values

Record = dict[str, str]


@dataclass(frozen=True)
class Published:
    """One published value."""

    paper: str
    table: str
    system: str  # what the paper calls it
    arm: Arm | None  # None: no arm here corresponds to the paper's system
    positive_class: str  # empty: the value does not depend on a positive class
    class_name: str  # empty: the value is over all classes
    metric: str
    printed: Printed
    n: int | None  # the images that the rate is a share of; None if unknown or not a simple share
    note: str


def published_beside(experiment_file: Path) -> Path | None:
    """The published values of an experiment file: `published-NAME.csv` beside NAME.toml, else `published.csv`."""
    names = (f"published-{experiment_file.stem}.csv", "published.csv")
    return next((path for path in map(experiment_file.with_name, names) if path.is_file()), None)


def read_published(path: Path) -> list[Published]:
    """The values in a published.csv; raises SettingsError with file, line, rule and value."""
    found: list[Published] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, record in _records(path):
        try:
            found.append(_published(record))
        except ValueError as error:
            raise SettingsError(f"{path}, line {line}: {error}") from None
        key = tuple(text for column, text in record.items() if column != "published")
        if key in seen:
            raise SettingsError(
                f"{path}, line {line}: a value is given once, but line {seen[key]} gives the same one; "
                "remove one of them, or tell them apart in system or note"
            )
        seen[key] = line
    return found


def published_text(path: Path) -> str:
    """The text of a published.csv; raises SettingsError when it cannot be read."""
    try:
        return read_whole(path, MOST_BYTES).decode("utf-8-sig")  # spreadsheets write a byte order mark
    except FileNotFoundError:
        raise SettingsError(f"there is no file {path} of published values") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} must be a CSV file in UTF-8, but: {reason(error)}") from None


def _records(path: Path) -> list[tuple[int, Record]]:
    """Each row as a dictionary of texts by column, with its line number."""
    reader = csv.reader(io.StringIO(published_text(path), newline=""), strict=True)
    try:
        rows = [(reader.line_num, [value.strip() for value in values]) for values in reader if values]
    except csv.Error as error:
        raise SettingsError(f"{path}, line {reader.line_num}: a row of a CSV file is needed, but: {error}") from None
    columns = rows[0][1] if rows else []
    if sorted(columns) != sorted(PUBLISHED_COLUMNS):
        wanted = ",".join(PUBLISHED_COLUMNS)
        raise SettingsError(
            f"{path}, line 1: the columns are {wanted}, not {','.join(columns)[:300] or 'an empty file'}"
        )
    for line, values in rows[1:]:
        if len(values) != len(columns):
            raise SettingsError(
                f"{path}, line {line}: a row has {len(columns)} fields, not {len(values)}; "
                "a text with a comma stands in double quotes"
            )
    return [(line, dict(zip(columns, values, strict=True))) for line, values in rows[1:]]


def _published(record: Record) -> Published:
    """The published value of one row; raises ValueError with the rule and the value."""
    if not record["paper"]:
        raise ValueError("a paper is named in every row, such as frid-adar-2018, but paper is empty")
    allowed = CLASS_METRICS if record["class"] else METRICS
    if record["metric"] not in allowed:
        whose = "a metric of one class" if record["class"] else "a metric"
        raise ValueError(f"{whose} is one of {', '.join(allowed)}, not {record['metric']!r}")
    try:
        printed = Printed.parse(record["published"])
    except ValueError as error:
        raise ValueError(f"{error}, not {record['published']!r}") from None
    return Published(
        paper=record["paper"],
        table=record["table"],
        system=record["system"],
        arm=_arm(record),
        positive_class=record["positive_class"],
        class_name=record["class"],
        metric=record["metric"],
        printed=printed,
        n=_images(record["n"]),
        note=record["note"],
    )


def _arm(record: Record) -> Arm | None:
    """The arm that a row names; None if augmenter, dose, on_the_fly and classifier are all empty."""
    augmenter, dose, classifier = (record[key] for key in ("augmenter", "synthetic_per_class", "classifier"))
    if not (augmenter or dose or classifier or record["on_the_fly"]):
        return None
    if not (augmenter and classifier):
        raise ValueError(
            "a row names the augmenter and the classifier of its arm, or leaves the arm's columns all empty, "
            f"but augmenter is {augmenter!r} and classifier {classifier!r}"
        )
    if not re.fullmatch(r"[0-9]{1,7}", dose):
        raise ValueError(f"synthetic_per_class is the arm's dose, a whole number, not {dose!r}")
    if (int(dose) == 0) != (augmenter == BASELINE):
        raise ValueError(f"the dose is 0 for {BASELINE!r} and above 0 for others, not {dose} for {augmenter!r}")
    return Arm(augmenter, int(dose), record["on_the_fly"] or BASELINE, classifier)


def _images(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError(f"n is the number of images that the rate is a share of, 1 or more, or empty, not {text!r}")
    return int(text)
