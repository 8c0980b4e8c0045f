"""The contact sheet of the closest pairs: synthetic images above, the real images they are nearest to below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = 8  # pairs beside each other
TILE, GAP, LINE = 104, 6, 18  # pixels: an image, between images, a line of text
BLOCK = 2 * (TILE + GAP) + LINE  # a pair with its distance


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images, uint8 (H, W, C), their distance in grey levels, and whether one counts as a copy of the other."""

    synthetic: NDArray[np.uint8]
    real: NDArray[np.uint8]
    distance: float
    copy: bool


def save_closest(path: Path, pairs: Sequence[Pair], title: Sequence[str]) -> None:
    """Write a PNG with these pairs in their order, the distance below each, in red when it is a copy."""
    rows = -(-len(pairs) // COLUMNS)
    width = COLUMNS * (TILE + GAP) + GAP
    top = GAP + LINE * len(title)
    picture = Image.new("RGB", (width, top + rows * (BLOCK + GAP)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for line, text in enumerate(title):
        draw.text((GAP, GAP // 2 + line * LINE), text, "black", font)
    for number, pair in enumerate(pairs):
        left, upper = GAP + number % COLUMNS * (TILE + GAP), top + number // COLUMNS * (BLOCK + GAP)
        picture.paste(_tile(pair.synthetic), (left, upper))
        picture.paste(_tile(pair.real), (left, upper + TILE + 2))
        below = (left + TILE // 2, upper + 2 * TILE + 4)
        draw.text(below, f"{pair.distance:.1f}", "red" if pair.copy else "black", font, anchor="ma")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def _tile(image: NDArray[np.uint8]) -> Image.Image:
    """The image as a square of TILE pixels, enlarged without smoothing."""
    colour = Image.fromarray(np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))))
    smaller = min(image.shape[:2]) <= TILE
    return colour.resize((TILE, TILE), Image.Resampling.NEAREST if smaller else Image.Resampling.BOX)
