"""Pictures of a run: synthetic images beside real ones, and the curves of what a fit reported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.report.pictures import file_stems, save_curves, save_dose_plots, save_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench.pipeline.images import Images, LabelledImages
    from lesionbench.pipeline.training_set import Pool

COLUMNS = 12
NOT_CURVES = {"step", "total", "seconds", "label", "best_step"}


def draw_samples(folder: Path, name: str, train: LabelledImages, pool: Pool) -> None:
    """One picture a class: two rows of real training images, and below them four of synthetic ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for label, stem in enumerate(file_stems(train.classes)):
        real, synthetic = _rows(train.of_class(label), 2), _rows(pool.images[label], 4)
        if real or synthetic:
            names = ["real"] * len(real) + ["synthetic"] * len(synthetic)
            save_rows(folder / f"{name}_{stem}.png", [*real, *synthetic], names)


def _rows(images: Images, count: int) -> list[Images]:
    images = images[: count * COLUMNS]
    return [images[start : start + COLUMNS] for start in range(0, len(images), COLUMNS)]


def draw_progress(folder: Path) -> None:
    """`losses.png` from the `progress.jsonl` in a folder, unless there is one already or nothing was reported."""
    source, target = folder / "progress.jsonl", folder / "losses.png"
    if target.exists() or not source.exists():
        return
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    names = sorted({key for line in lines for key in line} - NOT_CURVES)
    curves = {name: [(line["step"], line[name]) for line in lines if name in line] for name in names}
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if curves:
        save_curves(target, {"": curves})


@dataclass(frozen=True)
class DosePlot:
    """One augmenter's metric over its doses, and the fitted curve with its band at many doses between them."""

    name: str
    metric: str
    doses: Sequence[int]
    estimates: Sequence[float]
    ends: Sequence[tuple[float, float]]  # of every estimate's interval
    at: Sequence[float]
    fitted: Sequence[float]
    band: Sequence[tuple[float, float]]


def draw_dose_response(path: Path, plots: Sequence[DosePlot]) -> None:
    """A panel an augmenter: estimates with their intervals, the fitted curve and its band; no file without plots."""
    path.unlink(missing_ok=True)
    if plots:
        save_dose_plots(path, plots)
