"""Pictures of a run: synthetic images beside real ones, and the curves of what a fit reported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lesionbench.pictures.drawing import file_stems, save_curves, save_rows

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.images import Images, LabelledImages
    from lesionbench.pipeline.training_set import Pool

COLUMNS = 12
NOT_CURVES = {"step", "total", "seconds", "label", "best_step", "resumed_at_step"}


def draw_samples(folder: Path, name: str, train: LabelledImages, pool: Pool) -> None:
    """One picture for each class: two rows of real training images, and below them four of synthetic ones."""
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
