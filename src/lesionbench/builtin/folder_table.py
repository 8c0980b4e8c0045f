"""Listing the images that a CSV table names, one in each row."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lesionbench.builtin.folder_listing import VALIDATION_NOTE, ListedImage, Listing
from lesionbench.errors import DatasetError
from lesionbench.plain_text import name_problem
from lesionbench.spelling import did_you_mean
from lesionbench.tables import PARTS, VALIDATION, read_rows

if TYPE_CHECKING:
    from lesionbench.builtin.folder import Folder
    from lesionbench.tables import Row


def list_table(settings: Folder, root: Path) -> Listing:
    """The images in the rows of `settings.table`; raises DatasetError if the table or one of its columns is missing."""
    table = _table_path(settings.table, root)
    columns, rows = read_rows(table)
    for key in ("path_column", "label_column"):
        _has_column(settings, key, columns, table, optional=False)
    group = settings.group_column if _has_column(settings, "group_column", columns, table) else None
    split = settings.split_column if _has_column(settings, "split_column", columns, table) else None
    listing = Listing(tables=[table])
    first_line: dict[str, int] = {}
    for line, row in rows:
        path, problem = _image_path(row[settings.path_column], root)
        problems = [problem, _twice(path, line, first_line), _no_part(row, split)]
        problems += [_unusable(row, column) for column in (settings.label_column, group) if column]
        listing.problems += [f"{table.name} line {line}: {text}" for text in problems if text]
        if path is not None and not any(problems):
            label, is_test = row[settings.label_column], _is_test(row, split)
            listing.images.append(
                ListedImage(root / path, path.as_posix(), label, row[group] if group else None, is_test)
            )
    if not rows:
        listing.problems.append(f"{table}: a table needs a row for each image, but has only its header")
    validation = sum(row[split].lower() in VALIDATION for _, row in rows) if split else 0
    if validation:
        listing.notes.append(VALIDATION_NOTE.format(count=validation))
    return listing.finished()


def _no_part(row: Row, column: str | None) -> str:
    if column is None or row[column].lower() in (*PARTS, *VALIDATION):
        return ""
    return f"{column} must be train or test (or val), not {row[column]!r}"


def _is_test(row: Row, column: str | None) -> bool | None:
    return None if column is None else PARTS.get(row[column].lower()) == "test"


def _table_path(name: str, root: Path) -> Path:
    if _leaves_root(PurePosixPath(name)):
        raise DatasetError(f"the table must lie in the folder {root}, but {name} does not; move it there")
    table = root / name
    if not table.is_file():
        tables = sorted(path.name for path in root.glob("*.csv"))
        raise DatasetError(
            f"{table}: there is no such table{did_you_mean(name, tables)} (CSV files: {_or_none(tables)})"
        )
    return table


def _has_column(settings: Folder, key: str, columns: list[str], table: Path, optional: bool = True) -> bool:
    """Whether the table has this column; raises DatasetError if it is missing, unless it is optional and not set."""
    name = getattr(settings, key)
    if name in columns:
        return True
    if optional and name in ("", type(settings).model_fields[key].default):
        return False
    raise DatasetError(
        f"{table}: there is no column {name!r}{did_you_mean(name, columns)} (columns: {_or_none(columns)}); "
        f"name it with folder[table={settings.table},{key}=COLUMN]"
    )


def _or_none(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _image_path(text: str, root: Path) -> tuple[PurePosixPath | None, str]:
    """The path in a row, relative to the root, and what is wrong with it (or an empty text)."""
    path = PurePosixPath(text.replace("\\", "/"))
    if not text:
        return None, "the path of the image is empty"
    if _leaves_root(path):
        return None, f"a path must lie in {root} and be relative to it, not {text}"
    if not (root / path).is_file():
        return path, f"there is no file {root / path}"
    return path, ""


def _leaves_root(path: PurePosixPath) -> bool:
    return path.is_absolute() or ".." in path.parts


def _twice(path: PurePosixPath | None, line: int, first_line: dict[str, int]) -> str:
    if path is None:
        return ""
    first = first_line.setdefault(path.as_posix(), line)
    return "" if first == line else f"an image may stand once, but {path} is on line {first} too"


def _unusable(row: Row, column: str) -> str:
    """What is wrong with the name of a class or a group; empty when the name is fine."""
    if not row[column]:
        return f"{column} is empty; every image needs one"
    wrong = name_problem(row[column])
    return wrong and f"{column} names a class or group: {wrong}"
