"""The contact sheet of twins: the two images of each pair side by side, three lines of text below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from lesionbench.pictures.drawing import as_tile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 4  # pairs in a row
TILE, GAP, LINE = 136, 12, 16  # pixels: an image, between pairs, a line of text
LINES = 3
LONGEST = 42  # characters in a line of text
BLOCK_WIDTH, BLOCK_HEIGHT = 2 * TILE + GAP, TILE + LINES * LINE + GAP


@dataclass(frozen=True, eq=False)
class PicturedPair:
    """Two images, uint8 (H, W, C), already turned the same way, and three lines about them, in red for a warning."""

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    lines: tuple[str, str, str]
    warning: bool = False


def save_pairs(path: Path, sections: Mapping[str, Sequence[PicturedPair]]) -> None:
    """Write a PNG with the pairs of every section below its heading, in the given order; empty sections are omitted."""
    filled = {heading: pairs for heading, pairs in sections.items() if pairs}
    height = GAP + sum(2 * LINE + -(-len(pairs) // COLUMNS) * BLOCK_HEIGHT for pairs in filled.values())
    picture = Image.new("RGB", (GAP + COLUMNS * BLOCK_WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    top = GAP
    for heading, pairs in filled.items():
        draw.text((GAP, top), heading, "black", ImageFont.load_default(15))
        top += 2 * LINE
        for number, pair in enumerate(pairs):
            _put(picture, draw, pair, GAP + number % COLUMNS * BLOCK_WIDTH, top + number // COLUMNS * BLOCK_HEIGHT)
        top += -(-len(pairs) // COLUMNS) * BLOCK_HEIGHT
    picture.save(path)


def _put(picture: Image.Image, draw: ImageDraw.ImageDraw, pair: PicturedPair, left: int, top: int) -> None:
    picture.paste(as_tile(pair.left, TILE), (left, top))
    picture.paste(as_tile(pair.right, TILE), (left + TILE, top))
    font = ImageFont.load_default(12)
    for number, line in enumerate(pair.lines):
        text = line if len(line) <= LONGEST else f"…{line[-LONGEST:]}"  # the end of a path identifies the image
        draw.text((left, top + TILE + 2 + number * LINE), text, "red" if pair.warning else "black", font)
