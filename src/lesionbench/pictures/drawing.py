"""Drawing rows of images and curves, without pyplot, which has global state."""

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
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images

Point = tuple[int, float]  # a step and a value

LONGEST_STEM = 40
GAP = 2  # white pixels between the images of a grid
WIDTH, MARGIN = 900, 100  # pixels, about: of the images in the picture, and of the names to their left


def file_stems(names: Sequence[str]) -> tuple[str, ...]:
    """A file name part for each name: letters, digits, dots and dashes; unique even where case does not count."""
    stems: list[str] = []
    for index, name in enumerate(names):
        stem = re.sub(r"[^\w.-]+", "_", name)[:LONGEST_STEM]
        if stem != name:
            stem = f"{stem}-{index}"
        while stem.casefold() in {taken.casefold() for taken in stems}:
            stem = f"{stem}-{index}"
        stems.append(stem)
    return tuple(stems)


def as_tile(image: NDArray[np.uint8], side: int) -> Image.Image:
    """The image, uint8 (H, W, C), as an RGB square of `side` pixels; enlarged as blocks, reduced by averaging."""
    rgb = Image.fromarray(np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))))
    # Averaging as soon as one side shrinks: picking pixels instead would drop whole rows or columns.
    shrinks = max(image.shape[:2]) > side
    return rgb.resize((side, side), Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST)


def save_rows(path: Path, rows: Sequence[Images], names: Sequence[str]) -> None:
    """Write a PNG with a row of images for each entry and its name to the left; every pixel is drawn as a square."""
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
    """Write a PNG with a panel for each entry, one below the other, of its named curves over the steps."""
    from matplotlib.figure import Figure  # slow to import, so imported only to draw curves

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
    """Show texts as they are: a dollar sign in a class name would otherwise start a formula."""
    for text in texts:
        text.set_parse_math(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # letters that the font lacks are drawn as boxes
        FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # matplotlib's stubs
