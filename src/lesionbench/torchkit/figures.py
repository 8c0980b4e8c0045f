"""The pictures that a training leaves behind; drawn without pyplot, so that no global state is touched."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.pipeline.images import image_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from lesionbench.pipeline.images import Images

LONGEST_STEM = 40
GAP = 2  # white pixels between the images of a grid


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
    zoom = max(1, round(900 / width))
    figure = _figure((width * zoom / 100 + 1.0, height * zoom / 100 + 0.1))
    left = 0.9 / figure.get_figwidth()
    axes = figure.add_axes((left, 0.0, 1.0 - left, 1.0))
    axes.imshow(np.broadcast_to(grid, (height, width, 3)), interpolation="nearest")
    pitch = (height - GAP) / len(rows)
    labels = axes.set_yticks([GAP + pitch * (row + 0.5) for row in range(len(rows))], names)
    _plain([tick.label1 for tick in labels])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    _save(figure, path)


def save_curves(path: Path, panels: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Write a PNG with a panel for each entry, one above the other: its curves, by name, over the steps 1, 2, ..."""
    figure = _figure((8.0, 0.6 + 2.4 * len(panels)))
    figure.set_layout_engine("constrained")
    all_axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
        for name, values in curves.items():
            axes.plot(range(1, len(values) + 1), values, label=name, linewidth=0.8)
        _plain([axes.set_title(title)])
        axes.set_ylabel("loss")
        _plain(axes.legend(loc="upper right").get_texts())
    all_axes[-1].set_xlabel("step")
    _save(figure, path)


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure  # slow to import, so only where a picture is drawn

    return Figure(figsize=size, dpi=100)


def _plain(texts: Sequence[Text]) -> None:
    """A class name may hold a dollar sign, which would start a formula."""
    for text in texts:
        text.set_parse_math(False)


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box for a letter the font lacks will do
        FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # matplotlib's stubs
