"""Predictions: a classifier's scores of every validation and test image; all results are computed from these."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import ContractError, OutputError
from lesionbench.given_files import reason
from lesionbench.plain_text import for_spreadsheet, from_spreadsheet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Groups, LabelledImages, Labels, Scores

PARTS = ("validation", "test")
COLUMNS = ("part", "id", "group", "label", "fold")  # followed by one `score_<class>` for each class


@dataclass(frozen=True, eq=False)
class Predictions:
    """N scored images of one part and fold: ids (N,), groups (N,), labels (N,), scores float64 (N, K)."""

    part: str  # validation or test
    fold: int
    ids: NDArray[np.str_]
    groups: Groups
    labels: Labels
    scores: Scores
    classes: tuple[str, ...]

    @classmethod
    def of(cls, part: str, fold: int, images: LabelledImages, scores: Scores) -> Predictions:
        """The scores of these images; raises ContractError unless they hold one row of probabilities for each image."""
        shape = (len(images), len(images.classes))
        if not isinstance(scores, np.ndarray) or scores.dtype != np.float64 or scores.shape != shape:
            found = f"{scores.dtype} {scores.shape}" if isinstance(scores, np.ndarray) else type(scores).__name__
            raise ContractError(f"scores must be float64 {shape}, not {found}")
        if not np.isfinite(scores).all() or scores.min() < 0:
            raise ContractError("scores must be finite and not negative")
        if not np.allclose(scores.sum(axis=1), 1.0, rtol=0, atol=1e-6):
            raise ContractError("the scores of an image must sum to 1")
        return cls(part, fold, images.ids, images.groups, images.labels, scores, images.classes)


def as_text(parts: list[Predictions]) -> str:
    """One cell's predictions as CSV, one row for each image; floats in full, so that reading gives the same bits."""
    classes = parts[0].classes
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"score_{name}" for name in classes)])
    for one in parts:
        for row in range(len(one.ids)):
            name, label = (for_spreadsheet(str(text)) for text in (one.ids[row], classes[one.labels[row]]))
            scores = [repr(score) for score in one.scores[row].tolist()]
            writer.writerow([one.part, name, one.groups[row], label, one.fold, *scores])
    return text.getvalue()


def read_predictions(path: Path, content: bytes) -> dict[str, Predictions]:
    """One cell's predictions by part, from the content of a file; raises OutputError if `as_text` did not write it."""
    try:
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        if tuple(header[:5]) != COLUMNS:
            raise ValueError(f"the columns are {header}")
        classes = tuple(name.removeprefix("score_") for name in header[5:])
        found = {part: _of_part(part, [row for row in rows if row[0] == part], classes) for part in PARTS}
        if sum(len(one.ids) for one in found.values()) < len(rows):
            raise ValueError(f"a part is one of {', '.join(PARTS)}")
        return found
    except (ValueError, IndexError, KeyError, csv.Error) as error:
        raise OutputError(
            f"{path} does not hold predictions ({reason(error)}); delete it and run the experiment again"
        ) from None


def _of_part(part: str, rows: list[list[str]], classes: tuple[str, ...]) -> Predictions:
    label_of = {name: label for label, name in enumerate(classes)}
    return Predictions(
        part,
        int(rows[0][4]),
        np.array([from_spreadsheet(row[1]) for row in rows]),
        np.array([int(row[2]) for row in rows], dtype=np.int64),
        np.array([label_of[from_spreadsheet(row[3])] for row in rows], dtype=np.int64),
        np.array([[float(score) for score in row[5:]] for row in rows], dtype=np.float64),
        classes,
    )


def pooled(folds: list[Predictions]) -> Predictions:
    """The out-of-fold predictions of all folds of one seed, joined: every image occurs once."""
    first = folds[0]
    ids = np.concatenate([fold.ids for fold in folds])
    if len(np.unique(ids)) != len(ids):
        raise OutputError("an image may be tested in one fold only, but some are tested in two")
    return Predictions(
        first.part,
        first.fold,
        ids,
        np.concatenate([fold.groups for fold in folds]),
        np.concatenate([fold.labels for fold in folds]),
        np.concatenate([fold.scores for fold in folds]),
        first.classes,
    )
