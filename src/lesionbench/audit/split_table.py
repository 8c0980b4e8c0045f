"""A user's own table of image paths and the parts of a split, for its audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from lesionbench.errors import DatasetError, Try, UnreadableImage
from lesionbench.evidence.images.leakage import Divided, pixel_digest
from lesionbench.image_files import first_of, viewed_image
from lesionbench.spelling import did_you_mean
from lesionbench.tables import part_name, read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.tables import Row

NEEDED = ("path", "split")
SIDE = 64  # pixels
MANY = 10  # problems; then no more images are read


def read_split_table(table: Path, folder: Path | None) -> Divided:
    """The images that a CSV with `path`, `split` and perhaps `group` and `label` names, colour, 64 x 64.

    folder: what the paths are relative to; by default the table's own folder. Images of any size are read as a
    viewer shows them; exact duplicates are found by all their pixels, everything else by their central square.
    Raises DatasetError that names the first problems.
    """
    columns, rows = read_rows(table)
    for name in NEEDED:
        if name not in columns:
            raise DatasetError(
                f"{table}: there is no column {name!r}{did_you_mean(name, columns)} (columns: "
                f"{', '.join(columns) or 'none'}); a table of a split has path, split and perhaps group and label"
            )
    if len(rows) < 2:
        raise DatasetError(
            f"{table}: a split has two images or more, but the table has {len(rows)}; add a row for each image"
        )
    paths = _paths(table, rows, folder if folder is not None else table.parent)
    images, digests = _read(paths)
    return Divided(
        images,
        digests,
        np.array([part_name(row["split"]) for _, row in rows]),
        np.array([row["path"] for _, row in rows]),
        np.array([row.get("label", "") for _, row in rows]),
        np.array([row.get("group", "") for _, row in rows]),
    )


def _paths(table: Path, rows: list[tuple[int, Row]], folder: Path) -> list[Path]:
    """The image file of each row; raises DatasetError when one is missing, is listed twice, or has no part."""
    problems: list[str] = []
    paths: list[Path] = []
    first_line: dict[Path, int] = {}
    for line, row in rows:
        path = folder / row["path"].replace("\\", "/")
        problem = _problem(row, path)
        first = first_line.setdefault(path.resolve(), line)
        if not problem and first != line:
            problem = f"an image may stand once, but {row['path']} is on line {first} too"
        problems += [f"{table.name} line {line}: {problem}"] if problem else []
        paths.append(path)
    if problems:
        elsewhere = Try("if the paths are relative to another folder, name it with {images}", images="DIR")
        raise DatasetError(
            first_of(problems, f"{len(problems)} of {len(rows)} rows of {table} cannot be used"),
            *([elsewhere] if any("there is no file" in problem for problem in problems) else []),
        )
    return paths


def _problem(row: Row, path: Path) -> str:
    if not row["path"]:
        return "the path of the image is empty"
    if not row["split"]:
        return "split is empty; every image needs a part, such as train or test"
    return "" if path.is_file() else f"there is no file {path}"


def _read(paths: list[Path]) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], list[str]]:
    images = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)
    digests: list[str] = []
    problems: list[str] = []
    for position, path in enumerate(paths):
        try:
            whole = viewed_image(path)
        except UnreadableImage as error:
            problems.append(str(error))
            if len(problems) == MANY:
                break
            continue
        images[position] = np.asarray(ImageOps.fit(whole, (SIDE, SIDE), Image.Resampling.LANCZOS))
        digests.append(pixel_digest(np.asarray(whole)))
    if problems:
        raise DatasetError(first_of(problems, "image files cannot be used"))
    return images, digests
