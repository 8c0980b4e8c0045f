"""Reading image files the way a viewer shows them; files that cannot be read are refused by name.

An image file has one of the SUFFIXES, upper or lower case; its format is detected from its bytes.
"""

from __future__ import annotations

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from lesionbench.errors import DatasetError, Try, UnreadableImage
from lesionbench.given_files import file_problem
from lesionbench.plain_text import is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set

    from lesionbench.pipeline.images import Images

Channels = Literal[1, 3]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
PLAIN_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"})
MOST_PIXELS = 89_478_485  # of one image, Pillow's limit against decompression bombs; and of all in memory together
BAND = 256  # rows that are blended at a time
NAMED = 10  # how many bad files one message names
TIFF_BITS_PER_SAMPLE = 258
PNG_BIT_DEPTH = 24  # the position in the header of the byte that holds it


def image_paths(folder: Path, suffixes: Set[str] = SUFFIXES) -> list[Path]:
    """Every file below `folder` with one of the suffixes, sorted; skips hidden files, hidden folders and `__MACOSX`.

    Raises UnreadableImage for one, or DatasetError for several, that are no files or have unusable names.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        # A link to a parent folder would be followed forever.
        folders[:] = [] if real in seen else [name for name in folders if _is_content(name)]
        if real not in seen:
            found += [Path(parent, name) for name in files if _is_content(name) and _ends_in(name, suffixes)]
        seen.add(real)
    wrong = [problem for path in found if (problem := _no_image_file(path, folder))]
    if len(wrong) == 1:
        raise UnreadableImage(wrong[0])
    if wrong:
        raise DatasetError(first_of(wrong, f"{len(wrong)} files in {folder} cannot be images"))
    return sorted(found)


def _no_image_file(path: Path, folder: Path) -> str:
    """Why a path below `folder` cannot be an image; empty when it can."""
    strange = next((name for name in path.relative_to(folder).parts if not is_plain(name)), None)
    if strange is not None:
        return f"{folder}: the name of a file or folder must be plain text in UTF-8, but {strange!a} is not; rename it"
    wrong = file_problem(path)
    return wrong and f"{path}: an image must be a file, but {wrong}; remove it"


def _ends_in(name: str, suffixes: Set[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122  # a Path for every name is slow in large folders


def _is_content(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def read_image(path: Path, size: int, channels: Channels) -> Images:
    """The image as a viewer shows it, as a square: uint8 (size, size, channels).

    Rotated as its EXIF data say, transparency blended with white, CMYK and palettes converted to RGB (colour profiles
    are not applied). Grey becomes three equal channels if `channels` is 3, colour becomes grey (ITU-R 601 luma) if it
    is 1. An image that is not square is cropped to its central square and then resized (Lanczos), so that the shape of
    a lesion is not distorted.
    Raises UnreadableImage if the file is damaged, empty or no image, has more than 8 bits per channel or several
    frames, or is too large.
    """
    with _strict_pillow():
        return _read(path, size, channels)


def viewed_image(path: Path) -> Image.Image:
    """The whole image as a viewer shows it, in RGB at its own size; raises UnreadableImage like `read_image`."""
    with _strict_pillow(), _viewed(path) as image:
        return image


CHECK = Try("list all of them: lesionbench data check NAME {data}", data="DIR")


def read_images(paths: Sequence[Path], size: int, channels: Channels, check: Try = CHECK) -> Images:
    """`read_image` of every path: uint8 (N, size, size, channels), in the order of the paths.

    check: the advice that says how to list all bad files.
    Raises one DatasetError that names the first bad files.
    """
    images = np.empty((len(paths), size, size, channels), np.uint8)

    def read(position: int) -> None:
        images[position] = _read(paths[position], size, channels)

    bad = _complaints(read, len(paths))
    if bad:
        raise DatasetError(first_of(bad, f"{len(bad)} of {len(paths)} image files cannot be used"), check)
    return images


def unreadable(paths: Sequence[Path]) -> list[str]:
    """A line for each file that `read_image` refuses, saying what is wrong; reads every file in full."""

    def view(position: int) -> None:
        with _viewed(paths[position]):
            pass

    return _complaints(view, len(paths))


def first_of(problems: Sequence[str], heading: str) -> str:
    """The heading and the first problems, one on each line; the last line says how many more there are."""
    more = len(problems) - NAMED
    lines = [f"{heading}:", *problems[:NAMED], *([f"and {more} more"] if more > 0 else [])]
    return "\n  ".join(lines)


def _complaints(attempt: Callable[[int], object], count: int) -> list[str]:
    """The messages of the UnreadableImage errors that `attempt` raises for positions 0..count-1, in their order."""

    def complaint_of(position: int) -> str | None:
        try:
            attempt(position)
        except UnreadableImage as error:
            return str(error)
        return None

    # Threads help because Pillow releases the interpreter lock while it decodes and resizes.
    with _strict_pillow(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return [complaint for complaint in pool.map(complaint_of, range(count)) if complaint is not None]


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make Pillow refuse truncated files and silence its warnings; enter once, outside any thread."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _read(path: Path, size: int, channels: Channels) -> Images:
    with _viewed(path) as image:
        square = _central_square(image)
        if channels == 1:
            square = square.convert("L")
        resized = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.uint8).reshape(size, size, channels)


def _central_square(image: Image.Image) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Crop first: resizing with `box` would also use pixels outside the square.
    return image if width == height else image.crop((left, top, left + side, top + side))


@contextmanager
def _viewed(path: Path) -> Iterator[Image.Image]:
    """The whole image in RGB, upright and blended with white; raises UnreadableImage.

    In the block, its pixels count among those that are in memory at the same time.
    """
    with ExitStack() as held:
        yield _as_viewed(path, held)


def _as_viewed(path: Path, held: ExitStack) -> Image.Image:
    wrong = file_problem(path)
    if wrong:
        raise UnreadableImage(f"{path}: an image must be a file, but {wrong}")
    try:
        with path.open("rb") as file:
            header = file.read(PNG_BIT_DEPTH + 1)
            _refuse_no_image(path, header)
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                _refuse_unusable(path, image, header)
                held.enter_context(_IN_MEMORY.of(image.width * image.height))
                ImageOps.exif_transpose(image, in_place=True)
                return _over_white(image)
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except UnidentifiedImageError:
        raise UnreadableImage(
            f"{path}: an image file must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, but this is none of them "
            "or its beginning is damaged; remove it or put the image in its place"
        ) from None
    except Exception as error:  # Pillow raises all kinds of exceptions on damaged files
        raise UnreadableImage(
            f"{path}: an image file must be whole, but this one is damaged or cut short ({error}); "
            "copy it again from where it came, or remove it"
        ) from None


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    blended = Image.new("RGB", image.size)
    for top in range(0, image.height, BAND):  # all rows at once would take several times the memory
        rows = image.crop((0, top, image.width, min(top + BAND, image.height))).convert("RGBA")
        blended.paste(Image.alpha_composite(Image.new("RGBA", rows.size, "white"), rows).convert("RGB"), (0, top))
    return blended


class _Room:
    """Lets threads keep images in memory at the same time while these have at most so many pixels together."""

    def __init__(self, pixels: int) -> None:
        self._free = self._all = pixels
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for this many pixels, and keep it; an image larger than all room waits for all."""
        wanted = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


_IN_MEMORY = _Room(MOST_PIXELS)


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
    # Phones write MPO: a JPEG followed by a preview. Viewers show the first image.
    if frames != 1 and image.format != "MPO":
        raise UnreadableImage(
            f"{path}: an image file must hold one image, not {frames} frames; save each as its own file"
        )


def _bits_per_channel(image: Image.Image, header: bytes) -> int:
    """Bits per channel according to the file: Pillow silently opens 16-bit RGB as 8-bit RGB."""
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
