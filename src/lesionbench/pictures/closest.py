"""The contact sheet of the closest pairs: synthetic images above, their nearest real images below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from lesionbench.pictures.drawing import as_tile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 8  # pairs in a row
TILE, GAP, LINE = 104, 6, 18  # pixels: an image, between images, a line of text
BLOCK = 2 * (TILE + GAP) + LINE  # a pair with its distance


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images, uint8 (H, W, C), their distance in grey levels, and whether the synthetic one counts as a copy."""

    synthetic: NDArray[np.uint8]
    real: NDArray[np.uint8]
    distance: float
    copy: bool


def save_closest(path: Path, pairs: Sequence[Pair], title: Sequence[str]) -> None:
    """Write a PNG with these pairs in the given order, the distance below each pair, in red for a copy."""
    rows = -(-len(pairs) // COLUMNS)
    width = COLUMNS * (TILE + GAP) + GAP
    top = GAP + LINE * len(title)
    picture = Image.new("RGB", (width, top + rows * (BLOCK + GAP)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for line, text in enumerate(title):
        draw.text((GAP, GAP // 2 + line * LINE), text, "black", font)
    for number, pair in enumerate(pairs):
        left, upper = GAP + number % COLUMNS * (TILE + GAP), top + number // COLUMNS * (BLOCK + GAP)
        picture.paste(as_tile(pair.synthetic, TILE), (left, upper))
        picture.paste(as_tile(pair.real, TILE), (left, upper + TILE + 2))
        below = (left + TILE // 2, upper + 2 * TILE + 4)
        draw.text(below, f"{pair.distance:.1f}", "red" if pair.copy else "black", font, anchor="ma")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
