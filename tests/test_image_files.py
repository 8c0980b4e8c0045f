from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFile

from lesionbench.cli.options import typed
from lesionbench.errors import DatasetError, Try, UnreadableImage
from lesionbench.image_files import image_paths, read_image, read_images, unreadable

RED = (255, 0, 0)
WHITE = (255, 255, 255)


def png(path: Path, width: int, height: int, bits: int, colour_type: int, rows: bytes) -> Path:
    """A PNG written by hand, for what Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def deep_png(path: Path, channels: int) -> Path:
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png(path, 8, 8, 16, colour_type, (b"\0" + b"\x12\x34" * 8 * channels) * 8)


def deep_rgb_tiff(path: Path) -> Path:
    """A TIFF of 4 by 4 pixels with 16 bits for each of red, green and blue."""
    bits_at, pixels_at = 8, 16
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, pixels_at), (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 1, 96)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    head = b"II*\0" + struct.pack("<I", pixels_at + 96) + struct.pack("<HHH", 16, 16, 16) + b"\0\0"
    path.write_bytes(head + b"\x12\x34" * 48 + directory)
    return path


def noise(size: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def colour_of(path: Path) -> tuple[int, ...]:
    """The one colour of a plain image."""
    pixels = read_image(path, 8, 3).reshape(-1, 3)
    assert (pixels == pixels[0]).all()
    return tuple(pixels[0].tolist())


# what is converted


def test_an_rgb_image_of_the_right_size_keeps_every_pixel(tmp_path):
    image = noise(32)
    read = read_image(saved(image, tmp_path / "a.png"), 32, 3)
    assert read.dtype == np.uint8
    assert np.array_equal(np.asarray(image), read)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = noise(16).convert("L")
    read = read_image(saved(grey, tmp_path / "a.png"), 16, 3)
    assert np.array_equal(np.stack([np.asarray(grey)] * 3, axis=-1), read)


def test_grey_stays_as_it_is_when_one_channel_is_asked_for(tmp_path):
    grey = noise(16).convert("L")
    assert np.array_equal(np.asarray(grey)[..., None], read_image(saved(grey, tmp_path / "a.png"), 16, 1))


def test_colour_becomes_grey_by_its_luma_when_one_channel_is_asked_for(tmp_path):
    path = saved(Image.new("RGB", (8, 8), RED), tmp_path / "a.png")
    assert {76} == set(read_image(path, 8, 1).ravel().tolist())


def test_a_cmyk_tiff_shows_its_red_as_red(tmp_path):
    path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.tif")
    assert colour_of(path) == RED


def test_a_cmyk_jpeg_shows_its_red_as_red_and_not_inverted(tmp_path):
    path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.jpg")
    assert np.allclose(RED, colour_of(path), atol=3)


def test_half_transparent_black_over_white_is_mid_grey(tmp_path):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert colour_of(saved(image, tmp_path / "a.png")) == (127, 127, 127)


def test_the_hidden_colour_of_transparent_pixels_does_not_show(tmp_path):
    image = Image.new("RGBA", (8, 8), (*RED, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    read = read_image(saved(image, tmp_path / "a.png"), 8, 3)
    assert (read[:, :4] == (0, 0, 255)).all()
    assert (read[:, 4:] == WHITE).all()


def test_grey_with_transparency_is_laid_over_white(tmp_path):
    image = Image.new("LA", (8, 8), (100, 0))
    assert colour_of(saved(image, tmp_path / "a.png")) == WHITE


def test_a_palette_image_shows_its_colours(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    assert colour_of(saved(image, tmp_path / "a.png")) == RED


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"], ids=["one index", "bytes"])
def test_a_transparent_palette_entry_shows_white(tmp_path, transparency):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 4, 8))
    read = read_image(saved(image, tmp_path / "a.png", transparency=transparency), 8, 3)
    assert (read[:, :4] == 0).all()
    assert (read[:, 4:] == WHITE).all()


@pytest.mark.parametrize(("mode", "colour"), [("RGB", RED), ("L", 77), ("1", 0)])
def test_a_colour_key_shows_white(tmp_path, mode, colour):
    path = saved(Image.new(mode, (8, 8), colour), tmp_path / "a.png", transparency=colour)
    assert colour_of(path) == WHITE


def test_one_bit_is_black_and_white(tmp_path):
    image = Image.new("1", (8, 8), 0)
    image.paste(1, (0, 0, 8, 4))
    read = read_image(saved(image, tmp_path / "a.png"), 8, 3)
    assert (read[:4] == 255).all()
    assert (read[4:] == 0).all()


STORED = {  # how a viewed image lies in the file, by EXIF orientation
    1: lambda viewed: viewed,
    2: np.fliplr,
    3: lambda viewed: np.rot90(viewed, 2),
    4: np.flipud,
    5: lambda viewed: viewed.transpose(1, 0, 2),
    6: lambda viewed: np.rot90(viewed, 1),
    7: lambda viewed: np.rot90(viewed, 2).transpose(1, 0, 2),
    8: lambda viewed: np.rot90(viewed, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_turned_upright_as_its_exif_data_say(tmp_path, orientation):
    viewed = np.asarray(noise(12))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](viewed)))
    assert np.array_equal(viewed, read_image(saved(stored, tmp_path / "a.png", exif=exif), 12, 3))


def test_an_arrow_in_a_rotated_jpeg_points_up(tmp_path):
    lying = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(lying).polygon([(4, 32), (32, 4), (32, 60)], fill=0)  # points left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    read = read_image(saved(lying, tmp_path / "a.jpg", exif=exif), 64, 1)[..., 0]
    widths = (read < 128).sum(axis=1)
    assert widths[8] < widths[16] < widths[28]
    assert widths[40] == 0


@pytest.mark.parametrize("shape", [(96, 64), (64, 96)], ids=["wide", "tall"])
def test_a_round_lesion_stays_round_and_in_the_middle(tmp_path, shape):
    width, height = shape
    image = Image.new("L", shape, 255)
    ImageDraw.Draw(image).circle((width / 2, height / 2), 20, fill=0)
    dark = read_image(saved(image, tmp_path / "a.png"), 32, 1)[..., 0] < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert len(rows) == len(columns)
    assert 15 <= (rows[0] + rows[-1]) / 2 <= 17
    assert 15 <= (columns[0] + columns[-1]) / 2 <= 17


def test_what_lies_outside_the_central_square_leaves_no_trace(tmp_path):
    image = Image.new("RGB", (96, 32), RED)
    image.paste(WHITE, (32, 0, 64, 32))
    assert (read_image(saved(image, tmp_path / "a.png"), 8, 3) == 255).all()


def test_a_phone_picture_with_a_preview_behind_it_is_read_as_its_first(tmp_path):
    preview = Image.new("RGB", (16, 16), (0, 0, 255))
    path = saved(
        Image.new("RGB", (16, 16), RED), tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview]
    )
    assert np.allclose(RED, colour_of(path), atol=3)


def test_the_bytes_and_not_the_suffix_say_what_a_file_is(tmp_path):
    path = saved(noise(16), tmp_path / "really-a.png", format="BMP")
    assert np.array_equal(np.asarray(noise(16)), read_image(path, 16, 3))


# what is refused


def refused(path: Path, saying: str) -> None:
    """The file is refused with a message that names it, and a warning would be an error."""
    with warnings.catch_warnings(action="error"), pytest.raises(UnreadableImage, match=saying) as error:
        read_image(path, 8, 3)
    assert str(error.value).startswith(f"{path}: ")
    assert [str(error.value)] == unreadable([path])


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = saved(noise(), tmp_path / f"cut.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "damaged")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_file_is_refused_although_somebody_switched_that_off(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = saved(noise(), tmp_path / f"cut.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "damaged")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_png_with_one_flipped_byte_is_refused(tmp_path):
    path = saved(noise(), tmp_path / "flipped.png")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    refused(path, "damaged")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    refused(path, r"empty \(0 bytes\)")


def test_a_text_file_named_png_is_refused(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("not an image at all\n" * 20, encoding="utf-8")
    refused(path, "must be PNG, JPEG, BMP, TIFF or WEBP")


def test_a_gif_is_refused(tmp_path):
    refused(saved(noise(), tmp_path / "really-a.png", format="GIF"), "must be PNG, JPEG, BMP, TIFF or WEBP")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "gone.png", "it is not there")


@pytest.mark.parametrize("channels", [1, 2, 3, 4], ids=["grey", "grey-alpha", "rgb", "rgba"])
def test_a_16_bit_png_is_refused(tmp_path, channels):
    refused(deep_png(tmp_path / "deep.png", channels), "8 bits a channel, not 16")


def test_a_16_bit_rgb_png_would_otherwise_be_opened_without_a_word(tmp_path):
    with Image.open(deep_png(tmp_path / "deep.png", 3)) as image:
        assert image.mode == "RGB"


def test_a_16_bit_grey_tiff_is_refused(tmp_path):
    refused(saved(Image.new("I;16", (8, 8), 4000), tmp_path / "deep.tif"), "8 bits a channel, not 16")


def test_a_16_bit_rgb_tiff_is_refused(tmp_path):
    refused(deep_rgb_tiff(tmp_path / "deep.tif"), "8 bits a channel, not 16")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_32_bit_tiff_is_refused(tmp_path, mode):
    refused(saved(Image.new(mode, (8, 8), 1), tmp_path / "deep.tif"), "8 bits a channel, not 32")


def test_a_lab_tiff_is_refused(tmp_path):
    refused(saved(Image.new("LAB", (8, 8)), tmp_path / "lab.tif"), "not LAB")


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_file_of_several_frames_is_refused(tmp_path, suffix):
    other = Image.new("RGB", (40, 40), RED)
    path = saved(noise(), tmp_path / f"frames.{suffix}", save_all=True, append_images=[other])
    refused(path, "not 2 frames")


@pytest.mark.parametrize("side", [10_000, 30_000], ids=["where Pillow warns", "where Pillow refuses"])
def test_a_decompression_bomb_is_refused(tmp_path, side):
    refused(png(tmp_path / "bomb.png", side, side, 1, 0, b"\0"), "at most 89,478,485 pixels")


# many files


def test_images_come_in_the_order_of_their_paths(tmp_path):
    shades = [200, 10, 90, 250, 30]
    paths = [saved(Image.new("L", (9, 9), shade), tmp_path / f"{shade}.png") for shade in shades]
    images = read_images(paths, 8, 1)
    assert images.shape == (5, 8, 8, 1)
    assert shades == images[:, 0, 0, 0].tolist()


def test_no_paths_give_no_images():
    assert read_images([], 8, 3).shape == (0, 8, 8, 3)


def test_one_error_names_the_first_ten_bad_files_and_counts_the_rest(tmp_path):
    good = saved(noise(), tmp_path / "good.png")
    bad = [tmp_path / f"bad-{n:02}.png" for n in range(12)]
    for path in bad:
        path.touch()
    with pytest.raises(DatasetError) as error:
        read_images([good, *bad], 8, 3, Try("list them: lesionbench data check skin-lesion {data}", data="here"))
    message = error.value.written(typed)
    assert message.startswith("12 of 13 image files cannot be used:")
    assert [str(path) in message for path in bad] == [True] * 10 + [False] * 2
    assert "good.png" not in message
    assert "and 2 more" in message
    assert message.endswith("lesionbench data check skin-lesion --data here")


def test_every_bad_file_has_its_line_and_no_good_one(tmp_path):
    bad = [tmp_path / f"bad-{n:02}.png" for n in range(12)]
    for path in bad:
        path.touch()
    lines = unreadable([saved(noise(), tmp_path / "good.png"), *bad])
    assert [str(path) for path in bad] == [line.partition(": ")[0] for line in lines]


def test_only_image_files_in_plain_sight_are_found(tmp_path):
    wanted = ["b/2.JPG", "b/c/3.tiff", "a.Png", "d.webp", "e.bmp", "f.jpeg", "g.tif"]
    others = [
        "Thumbs.db",
        ".hidden.png",
        "b/._2.JPG",
        "__MACOSX/b/2.jpg",
        ".git/x.png",
        "notes.txt",
        "table.csv",
        "png",
    ]
    for name in [*wanted, *others]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(tmp_path / name for name in wanted) == image_paths(tmp_path)


def test_a_link_that_leads_back_up_is_followed_once(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [tmp_path / "a.png"] == image_paths(tmp_path)


def test_a_linked_folder_is_read(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "nevus").symlink_to(tmp_path / "elsewhere")
    assert [tmp_path / "data" / "nevus" / "a.png"] == image_paths(tmp_path / "data")
