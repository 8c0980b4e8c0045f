"""Reading one image file: its values, and what kind of values they are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesionbench import UnreadableImage
from lesionbench.image_files import PNG_BIT_DEPTH, viewed_image

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import Images

Values = NDArray[np.float32]

PNG = b"\x89PNG\r\n\x1a\n"
PNG_COLOUR_TYPE = 25  # the position in the header of the byte that holds it; 0 is plain grey
COLOUR = 8  # largest difference between red, green and blue in a grey image after JPEG, of 255
LEAST_SIDE = 4
MOST_OBLONG = 1.1  # long side / short side; only the central square is used


class Kind(Enum):
    """What the values of a file mean."""

    GREY = "8-bit grey values"
    WIDE = "16-bit grey values"
    HU = "HU"


class Pixels(NamedTuple):
    """A square of values, float32 (S, S), and what they mean."""

    kind: Kind
    values: Values


def read_pixels(path: Path) -> Pixels:
    """The file's central square; raises UnreadableImage if it is damaged, coloured, oblong or no single image."""
    kind, values = _read_array(path) if path.suffix.lower() == ".npy" else _read_image(path)
    short, long = sorted(values.shape)
    if short < LEAST_SIDE:
        raise UnreadableImage(f"{path}: an image must be at least {LEAST_SIDE} pixels high and wide, not {short}")
    if long > MOST_OBLONG * short:
        height, width = values.shape
        raise UnreadableImage(
            f"{path}: an image must be square (sides within {MOST_OBLONG - 1:.0%}), not {width}x{height} pixels; "
            "cut it square around the lesion"
        )
    top, left = ((side - short) // 2 for side in values.shape)
    return Pixels(kind, np.ascontiguousarray(values[top : top + short, left : left + short], np.float32))


def resized(grey: Values, size: int) -> Images:
    """Grey values of 0 to 255, float32 (S, S), resized (bicubic) to uint8 (size, size, 1)."""
    image = Image.fromarray(grey, mode=None).resize((size, size), Image.Resampling.BICUBIC)
    pixels: Images = np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)
    return pixels[..., None]


def _read_image(path: Path) -> tuple[Kind, Values]:
    header = _header(path)
    if header.startswith(PNG) and header[PNG_BIT_DEPTH : PNG_BIT_DEPTH + 1] == b"\x10":
        return Kind.WIDE, _read_wide(path, plain=header[PNG_COLOUR_TYPE : PNG_COLOUR_TYPE + 1] == b"\0")
    image = viewed_image(path)
    colours = np.asarray(image, np.int16)  # (H, W, 3)
    if int(np.ptp(colours, axis=2).max()) > COLOUR:
        raise UnreadableImage(f"{path}: an image must be grey, but this one has colours; read colours with folder")
    return Kind.GREY, np.asarray(image.convert("L"), np.float32)


def _header(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(PNG_COLOUR_TYPE + 1)
    except OSError as error:
        raise UnreadableImage(f"{path}: the file cannot be opened ({error.strerror})") from None


def _read_wide(path: Path, plain: bool) -> Values:
    if not plain:
        raise UnreadableImage(f"{path}: a 16-bit PNG must be plain grey, without colours or transparency; save it so")
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return np.asarray(image, np.float32)
    except Exception as error:  # Pillow raises all kinds of exceptions on damaged files
        raise UnreadableImage(f"{path}: an image must be whole, but this one is damaged ({error})") from None


def _read_array(path: Path) -> tuple[Kind, Values]:
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # numpy raises all kinds of exceptions on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableImage(f"{path}: an .npy file must hold one array of numbers ({reason})") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        found = f"shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise UnreadableImage(f"{path}: an .npy file must hold one slice (height, width), not {found}")
    if array.dtype == np.uint8:
        return Kind.GREY, array.astype(np.float32)
    if array.dtype not in (np.int16, np.int32, np.int64) and array.dtype.kind != "f":
        raise UnreadableImage(
            f"{path}: an .npy file must be uint8 (grey values) or HU as int16 or float, not {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise UnreadableImage(f"{path}: every value must be a finite number, but some are NaN or infinite")
    return Kind.HU, array.astype(np.float32)
