"""Drawing rows of images and curves; without pyplot, so that no global state is touched."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lesionbench.pipeline.images import image_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from lesionbench.pipeline.images import Images

Point = tuple[int, float]  # a step and a value

LONGEST_STEM = 40
GAP = 2  # white pixels between the images of a grid
WIDTH, MARGIN = 900, 100  # of the written picture's images, about, and of the names beside them


def file_stems(names: Sequence[str]) -> tuple[str, ...]:
    """A part of a file name for each of these names: letters, digits, dots and dashes, no two alike on any disk."""
    stems: list[str] = []
    for index, name in enumerate(names):
        stem = re.sub(r"[^\w.-]+", "_", name)[:LONGEST_STEM]
        if stem != name:
            stem = f"{stem}-{index}"
        while stem.casefold() in {taken.casefold() for taken in stems}:
            stem = f"{stem}-{index}"
        stems.append(stem)
    return tuple(stems)


def save_rows(path: Path, rows: Sequence[Images], names: Sequence[str]) -> None:
    """Write a PNG with a row of images for each entry, its name to the left; every pixel is drawn as a square."""
    grid = image_grid(list(rows), gap=GAP)[0]  # (H', W', C)
    height, width = grid.shape[:2]
    zoom = max(1, round(WIDTH / width))
    grid = np.broadcast_to(grid, (height, width, 3)).repeat(zoom, axis=0).repeat(zoom, axis=1)
    picture = Image.new("RGB", (MARGIN + width * zoom, height * zoom), "white")
    picture.paste(Image.fromarray(grid), (MARGIN, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    pitch = (height - GAP) * zoom / len(rows)
    for row, name in enumerate(names):
        draw.text((MARGIN - 8, GAP * zoom + pitch * (row + 0.5)), name, "black", font, anchor="rm")
    picture.save(path)


def save_curves(path: Path, panels: Mapping[str, Mapping[str, Sequence[Point]]]) -> None:
    """Write a PNG with a panel for each entry, one above the other: its curves, by name, over the steps."""
    from matplotlib.figure import Figure  # slow to import, so only where curves are drawn

    inches = 0.5 + 2.6 * len(panels)
    figure = Figure(figsize=(8.0, inches), dpi=100)
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.5 / inches, top=1 - 0.35 / inches, hspace=0.25)
    all_axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), linewidth=0.8)
        plain([axes.set_title(title)])
        axes.set_ylabel("loss")
        plain(axes.legend(loc="upper right").get_texts())
    all_axes[-1].set_xlabel("step")
    save_figure(figure, path)


def plain(texts: Sequence[Text]) -> None:
    """A class name may hold a dollar sign, which would start a formula."""
    for text in texts:
        text.set_parse_math(False)


def save_figure(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box for a letter the font lacks will do
        FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # matplotlib's stubs
