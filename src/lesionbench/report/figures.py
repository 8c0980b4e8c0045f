"""Pictures of a run: synthetic images beside real ones, and the curves of what a fit reported."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from PIL import Image

from lesionbench.pipeline.images import Images, image_grid

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.training_set import Pool

COLUMNS = 12
NOT_CURVES = {"step", "total", "seconds"}


def save_picture(path: Path, picture: Images, zoom: int = 2) -> None:
    """Write one picture, uint8 (1, H, W, C), as PNG, every pixel `zoom` wide."""
    pixels = picture[0].repeat(zoom, axis=0).repeat(zoom, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)


def draw_samples(folder: Path, name: str, train: LabelledImages, pool: Pool) -> None:
    """One picture a class: two rows of real training images, and below them four of synthetic ones."""
    for label, class_name in enumerate(train.classes):
        real = train.of_class(label)[: 2 * COLUMNS]
        synthetic = pool.images[label][: 4 * COLUMNS]
        rows = [part[start : start + COLUMNS] for part in (real, synthetic) for start in range(0, len(part), COLUMNS)]
        if rows:
            save_picture(folder / f"{name}_{file_name(class_name)}.png", image_grid(rows))


def draw_progress(folder: Path) -> None:
    """`losses.png` from the `progress.jsonl` in a folder, unless there is one already or nothing was reported."""
    source, target = folder / "progress.jsonl", folder / "losses.png"
    if target.exists() or not source.exists():
        return
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    names = sorted({key for line in lines for key in line} - NOT_CURVES)
    curves = {name: [(line["step"], line[name]) for line in lines if name in line] for name in names}
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if not curves:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), label=name.replace("_", " "))
    axes.legend()
    figure.savefig(target, dpi=120)


def file_name(text: str) -> str:
    """A class name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)
