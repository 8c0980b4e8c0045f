"""Drawing the pictures of `liver-phantom`.

Every patient and every lesion has its own random stream (seed, class, number), so a picture depends on nothing else. A
slice is drawn at the scanner's pixel size and then resized, like a region cut from a real slice.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from lesionbench.builtin.liver_looks import CLASSES, Lesion
from lesionbench.builtin.liver_scene import BONE, FAT, Border, Patient, Surroundings
from lesionbench.builtin.phantom_fields import Canvas, smooth_step
from lesionbench.pipeline.images import LabelledImages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.random import Generator

    from lesionbench.builtin.phantom_fields import Field
    from lesionbench.pipeline.images import Images

OTHER_CLASS = 0.06  # share of a patient's lesions that are not of the patient's main class
PATIENT, LESIONS, PICTURE = range(3)  # random streams
BEYOND = 6  # extra pixels on each side, so that blur and noise show no edge effects


def draw_lesions(numbers: Sequence[int], size: int, seed: int) -> LabelledImages:
    """`numbers` pictures of the classes, class by class: uint8 (N, size, size, 1); groups are patients."""
    places = places_of(numbers, seed)
    images = np.stack([draw_picture(seed, place, size) for place in places])
    labels = np.array([place.label for place in places], np.int64)
    groups = np.array([place.patient * len(CLASSES) + place.main for place in places], np.int64)
    ids = np.array([f"{CLASSES[p.label]}-{p.lesion:04d}" for p in places])
    return LabelledImages(images, labels, groups, ids, CLASSES)


class Place(NamedTuple):
    """A lesion's class and number within the class, and its patient's main class and number within that class."""

    label: int
    lesion: int
    main: int
    patient: int


def places_of(numbers: Sequence[int], seed: int) -> list[Place]:
    """The first `numbers` lesions of each class, class by class."""
    streams = [_patients(seed, label) for label in range(len(numbers))]
    return [
        Place(label, lesion, *next(streams[label])) for label, number in enumerate(numbers) for lesion in range(number)
    ]


def _patients(seed: int, label: int) -> Iterator[tuple[int, int]]:
    """The patients (main class, number) of one class's lesions, endlessly; each patient has one to four lesions."""
    for patient in count():
        rng = np.random.default_rng([seed, LESIONS, label, patient])
        for _ in range(1 + rng.binomial(3, 0.17)):
            other = (label + rng.integers(1, len(CLASSES))) % len(CLASSES)
            yield (int(other) if rng.random() < OTHER_CLASS else label), patient


def draw_picture(seed: int, place: Place, size: int) -> Images:
    """One picture: uint8 (size, size, 1)."""
    patient = Patient.random(np.random.default_rng([seed, PATIENT, place.main, place.patient]))
    rng = np.random.default_rng([seed, PICTURE, place.label, place.lesion])
    lesion = Lesion.random(rng, place.label, patient)
    scene = Surroundings.random(rng, 2 * lesion.radius)
    slice_ = _scanned(_drawn(lesion, scene, patient), patient, rng)
    grey = np.clip((slice_ - patient.level) / patient.width + 0.5, 0, 1)
    resized = Image.fromarray(grey.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    pixels: Images = np.clip(np.rint(255 * np.asarray(resized)), 0, 255).astype(np.uint8)
    return pixels[..., None]


def _drawn(lesion: Lesion, scene: Surroundings, patient: Patient) -> Field:
    """The slice before scanning, with BEYOND extra pixels on each side: HU (n, n)."""
    pixels = max(12, round(scene.side / patient.pixel))
    points = np.arange(-BEYOND, pixels + BEYOND, dtype=np.float64) + 0.5 - pixels / 2
    axis: Field = points * patient.pixel  # mm
    upright = np.eye(2)
    plain = Canvas(axis, upright, -scene.shift)  # mm from the lesion's centre
    scaled = Canvas(axis, upright / lesion.radius, -scene.shift / lesion.radius)  # radii
    depth = _depth(lesion, scaled)
    look = lesion.look
    tissue = _tissue(scene, patient, plain)
    tissue += look.halo * np.exp(-np.square((depth + 0.08) / 0.14))
    inside = smooth_step(depth / look.softness)
    return tissue + inside * (_content(lesion, scaled, depth) - tissue)


def _depth(lesion: Lesion, canvas: Canvas) -> Field:
    """The depth of every point, (n, n): 1 in the middle of the lesion, 0 on its border, negative outside."""
    x, y = canvas.mapped(lesion.stretch)
    inside: Field = 1 - np.sqrt(x * x + y * y)
    uneven = lesion.look.irregularity * (canvas.field(lesion.outline) + 0.5 * canvas.field(lesion.notches))
    inside += uneven / (1 + np.square(5 * np.minimum(inside, 0)))  # weaker outside: no islands
    return inside


def _content(lesion: Lesion, canvas: Canvas, depth: Field) -> Field:
    """The brightness of the lesion at every point: HU (n, n)."""
    look = lesion.look
    content = look.core + look.mottle * canvas.field(lesion.texture)
    content += look.centre * smooth_step((depth - look.centre_depth) / 0.15)
    whole = np.clip(1 - look.rim_gaps * canvas.field(lesion.gaps), 0, 2)
    content += look.rim * whole * np.exp(-np.square((depth - look.rim_depth) / look.rim_width))
    content += look.nodule * _nodules(lesion, canvas, depth)
    x, y = canvas.mapped(np.eye(2))
    for angle, distance, half_width in look.septa:
        beside = np.cos(angle) * x + np.sin(angle) * y - distance + 0.07 * canvas.field(lesion.gaps)
        content += look.septum * np.exp(-np.square(beside / half_width))
    return content


def _nodules(lesion: Lesion, canvas: Canvas, depth: Field) -> Field:
    """Where nodules are, (n, n) from 0 to 1: uneven half ellipses along the border."""
    x, y = canvas.mapped(np.eye(2))
    inwards, uneven = np.maximum(depth, 0), 0.16 * canvas.field(lesion.notches)
    without = np.ones_like(depth)
    for direction, half_width, reach in lesion.look.nodules:
        cos, sin = np.cos(direction), np.sin(direction)
        away = np.hypot((cos * y - sin * x) / half_width, inwards / reach) + uneven
        without *= 1 - smooth_step((1 - away) / 0.18) * smooth_step((cos * x + sin * y) / 0.1)
    return 1 - without


def _tissue(scene: Surroundings, patient: Patient, canvas: Canvas) -> Field:
    """The liver with its vessels, and the tissue beyond its border: HU (n, n)."""
    tissue = patient.liver + scene.unevenness * canvas.field(scene.uneven)
    x, y = canvas.mapped(np.eye(2))
    cover = np.zeros_like(tissue)
    for left, top, angle, bend, half_length, half_width, share in scene.vessels:
        cos, sin = np.cos(angle), np.sin(angle)
        along = cos * (x - left) + sin * (y - top)
        beside = cos * (y - top) - sin * (x - left) - bend * along * along
        # The fourth power makes a vessel even inside, with a sharp wall.
        end = np.square(np.square(along / half_length)) + np.square(np.square(beside / half_width))
        cover = np.maximum(cover, share * np.exp(-end))
    tissue += (patient.blood - patient.liver) * cover
    return tissue if scene.border is None else _beyond(tissue, scene.border, x, y)


def _beyond(tissue: Field, border: Border, x: Field, y: Field) -> Field:
    """The tissue with fat and the neighbouring organ beyond the liver's border: HU (n, n)."""
    cos, sin = np.cos(border.angle), np.sin(border.angle)
    along = cos * y - sin * x
    out = cos * x + sin * y - border.distance + np.square(along) / (2 * border.radius)  # mm beyond the border
    tissue = tissue + smooth_step(out) * (FAT - tissue)
    tissue += smooth_step(out - border.fat) * (border.beyond - tissue)
    for middle, behind, half_length, half_width in border.ribs:
        far = np.square((along - middle) / half_length) + np.square((out - border.fat - behind) / half_width)
        tissue += np.exp(-np.square(far)) * (BONE - tissue)
    return tissue


def _scanned(slice_: Field, patient: Patient, rng: Generator) -> Field:
    """The slice with the scanner's blur and noise, without the BEYOND extra pixels: HU."""
    seen = gaussian_filter(slice_, patient.blur / patient.pixel)
    seen += patient.noise * _grain(len(slice_), patient.grain / patient.pixel, rng)
    inner: Field = seen[BEYOND:-BEYOND, BEYOND:-BEYOND]
    return inner


def _grain(pixels: int, coarse: float, rng: Generator) -> Field:
    """CT noise of mean 0 and variance 1, (pixels, pixels), weak at low and at high frequencies."""
    frequency = np.hypot(np.fft.fftfreq(pixels)[:, None], np.fft.rfftfreq(pixels)[None, :])
    transfer = np.sqrt(frequency + 0.02) * np.exp(-2 * np.square(np.pi * coarse * frequency) / 2)
    white = rng.normal(0, 1, (pixels, pixels))
    grain: Field = np.fft.irfft2(np.fft.rfft2(white) * transfer, (pixels, pixels))
    grain /= grain.std()
    return grain
