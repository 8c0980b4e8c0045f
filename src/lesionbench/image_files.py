"""Image files read the way a viewer shows them, or refused by name: nothing is guessed, nothing leaks out.

An image file is one with a suffix of SUFFIXES, in any case; what it is follows from its bytes.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from lesionbench.errors import DatasetError, Try, UnreadableImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set

    from lesionbench.pipeline.images import Images

Channels = Literal[1, 3]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
PLAIN_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"})
MOST_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs, 256 MiB of RGB
NAMED = 10  # how many bad files one message names
TIFF_BITS_PER_SAMPLE = 258
PNG_BIT_DEPTH = 24  # the byte of the header that holds it


def image_paths(folder: Path, suffixes: Set[str] = SUFFIXES) -> list[Path]:
    """Every file below `folder` with such a suffix, sorted; hidden files and folders and `__MACOSX` are passed over."""
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        # A link that leads back up would be followed for ever.
        folders[:] = [] if real in seen else [name for name in folders if _is_content(name)]
        if real not in seen:
            found += [_named(parent, name) for name in files if _is_content(name) and _ends_in(name, suffixes)]
        seen.add(real)
    return sorted(found)


def _named(parent: str, name: str) -> Path:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise UnreadableImage(f"{parent}: a file name must be UTF-8, but {name!a} is not; rename it") from None
    return Path(parent, name)


def _ends_in(name: str, suffixes: Set[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122  # a Path a name makes a large folder slow


def _is_content(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def read_image(path: Path, size: int, channels: Channels) -> Images:
    """The image as a viewer shows it, as a square: uint8 (size, size, channels).

    Turned upright as its EXIF data say, transparency laid over white, CMYK and palettes made RGB (colour
    profiles are not applied), grey made three equal channels, colour made grey (ITU-R 601 luma) only when
    `channels` is 1. An image that is not square is cut to its central square before it is resized (Lanczos),
    so that the shape of a lesion is not distorted.
    Raises UnreadableImage when the file is damaged, empty, no image, deeper than 8 bits a channel, has
    several frames, or is too large.
    """
    with _strict_pillow():
        return _read(path, size, channels)


def viewed_image(path: Path) -> Image.Image:
    """The whole image as a viewer shows it, in RGB and as large as it is; raises UnreadableImage as `read_image`."""
    with _strict_pillow():
        return _as_viewed(path)


CHECK = Try("list all of them: lesionbench data check NAME {data}", data="DIR")


def read_images(paths: Sequence[Path], size: int, channels: Channels, check: Try = CHECK) -> Images:
    """`read_image` of every path: uint8 (N, size, size, channels), in the order of the paths.

    check: how to list every bad file.
    Raises one DatasetError that names the first bad files and says how to list all of them.
    """
    images = np.empty((len(paths), size, size, channels), np.uint8)

    def read(position: int) -> str | None:
        return _complaint(lambda: images.__setitem__(position, _read(paths[position], size, channels)))

    bad = _all_complaints(read, len(paths))
    if bad:
        raise DatasetError(first_of(bad, f"{len(bad)} of {len(paths)} image files cannot be used"), check)
    return images


def unreadable(paths: Sequence[Path]) -> list[str]:
    """What is wrong with the files that `read_image` refuses, a line each; every file is read in full."""
    return _all_complaints(lambda position: _complaint(lambda: _as_viewed(paths[position])), len(paths))


def first_of(problems: Sequence[str], heading: str) -> str:
    """The heading and the first problems, a line each; the last line says how many more there are."""
    more = len(problems) - NAMED
    lines = [f"{heading}:", *problems[:NAMED], *([f"and {more} more"] if more > 0 else [])]
    return "\n  ".join(lines)


def _complaint(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except UnreadableImage as error:
        return str(error)
    return None


def _all_complaints(complaint_of: Callable[[int], str | None], count: int) -> list[str]:
    # Pillow lets other threads run while it decodes and resizes.
    with _strict_pillow(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return [complaint for complaint in pool.map(complaint_of, range(count)) if complaint is not None]


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Pillow refuses truncated files and keeps its warnings to itself; entered once, outside any threads."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _read(path: Path, size: int, channels: Channels) -> Images:
    square = _central_square(_as_viewed(path))
    if channels == 1:
        square = square.convert("L")
    resized = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.uint8).reshape(size, size, channels)


def _central_square(image: Image.Image) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Cut first: with `box` instead, resizing would also see what lies beyond the edge.
    return image if width == height else image.crop((left, top, left + side, top + side))


def _as_viewed(path: Path) -> Image.Image:
    """The whole image in RGB, upright and over white; raises UnreadableImage."""
    try:
        with path.open("rb") as file:
            header = file.read(PNG_BIT_DEPTH + 1)
            _refuse_no_image(path, header)
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                _refuse_unusable(path, image, header)
                return _over_white(ImageOps.exif_transpose(image))
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except UnidentifiedImageError:
        raise UnreadableImage(
            f"{path}: an image file must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, but this is none of them "
            "or its beginning is damaged; remove it or put the image in its place"
        ) from None
    except Exception as error:  # on damaged files Pillow raises nearly anything
        raise UnreadableImage(
            f"{path}: an image file must be whole, but this one is damaged or cut short ({error}); "
            "copy it again from where it came, or remove it"
        ) from None


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _refuse_no_image(path: Path, header: bytes) -> None:
    if not header:
        raise UnreadableImage(
            f"{path}: an image file must hold an image, but this one is empty (0 bytes); "
            "copy it again from where it came, or remove it"
        )


def _refuse_unusable(path: Path, image: Image.Image, header: bytes) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise _too_large(path)
    bits = _bits_per_channel(image, header)
    if bits > 8:
        raise UnreadableImage(
            f"{path}: an image must have 8 bits a channel, not {bits}; save it with 8 bits "
            "(which values become black and white is yours to choose, and to write down)"
        )
    if image.mode not in PLAIN_MODES:
        raise UnreadableImage(f"{path}: an image must be grey, RGB, CMYK or palette, not {image.mode}; save it as RGB")
    frames = getattr(image, "n_frames", 1)
    # MPO is how phones write a JPEG with a preview behind it; viewers show the first.
    if frames != 1 and image.format != "MPO":
        raise UnreadableImage(
            f"{path}: an image file must hold one image, not {frames} frames; save each as its own file"
        )


def _bits_per_channel(image: Image.Image, header: bytes) -> int:
    """Bits a channel as the file says: Pillow opens 16-bit RGB as 8-bit RGB without a word."""
    if image.format == "PNG":
        return header[PNG_BIT_DEPTH]
    if image.format == "TIFF":
        bits: Any = getattr(image, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE, 8)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8


def _too_large(path: Path) -> UnreadableImage:
    return UnreadableImage(
        f"{path}: an image may have at most {MOST_PIXELS:,} pixels, but this one has more; crop it or make it smaller"
    )
