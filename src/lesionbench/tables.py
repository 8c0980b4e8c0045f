"""Reading users' CSV tables: with any of the usual delimiters, and with the line number of every row."""

from __future__ import annotations

import csv
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING

from lesionbench.errors import DatasetError
from lesionbench.given_files import read_whole, reason

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES, MOST_ROWS, MOST_COLUMNS = 2**26, 1_000_000, 1_000  # of a table

Row = dict[str, str]  # column name to value
# The parts of a split as people name them, upper or lower case.
PARTS = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("test", "testing"), "test")
VALIDATION = ("val", "valid", "validation")
DELIMITERS = (",", ";", "\t")  # spreadsheets write semicolons where the comma is the decimal mark


def read_rows(table: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """The names of the columns, and every row with the number of its last line; values are stripped of white space.

    The delimiter is the one of DELIMITERS that occurs most often in the header. Raises DatasetError if the file
    cannot be opened, or is not a CSV table in UTF-8.
    """
    try:
        text = read_whole(table, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{table}: the table cannot be opened ({reason(error)})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{table}: a table must be text in UTF-8, and this is not; save it as CSV UTF-8") from None
    header = text.partition("\n")[0]
    reader = csv.reader(StringIO(text, newline=""), delimiter=max(DELIMITERS, key=header.count))
    try:
        columns = [name.strip() for name in next(reader, [])]
        if len(columns) > MOST_COLUMNS:
            raise csv.Error(f"it has {len(columns):,} columns, and {MOST_COLUMNS:,} can be read")
        full = (values for values in reader if any(map(str.strip, values)))
        rows = [(reader.line_num, _named(columns, values)) for values in islice(full, MOST_ROWS + 1)]
        if len(rows) > MOST_ROWS:
            raise csv.Error(f"only {MOST_ROWS:,} rows can be read")
    except csv.Error as error:
        raise DatasetError(
            f"{table}: line {reader.line_num} is no CSV ({error}); save the table as CSV again"
        ) from None
    return columns, rows


def _named(columns: list[str], values: list[str]) -> Row:
    padded = [*values, *[""] * (len(columns) - len(values))]
    return {name: value.strip() for name, value in zip(columns, padded, strict=False)}


def part_name(text: str) -> str:
    """One name for each part: `Val` becomes validation and `training` train; any other text stays as it is."""
    lower = text.lower()
    return "validation" if lower in VALIDATION else PARTS.get(lower, text)
