"""Drawing lesions on skin: what the dataset `skin-phantom` shows.

A lesion is drawn from its own random stream (seed, part, class, group) and every view of it from another
(the same and the view's number), so a picture depends on nothing else. Lengths are in half widths of the picture,
so one lesion looks the same at any size. A structure is a sum of plane waves: it can be turned and zoomed
exactly, and costs one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lesionbench.pipeline.images import LabelledImages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from lesionbench.pipeline.images import Images

Field = NDArray[np.float64]

PARTS = ("train", "test")
CLASSES = ("benign", "malignant")
MOST_VIEWS = 3
# How far apart the two classes lie on average in each sign, in standard deviations: the difficulty.
ASYMMETRY, BORDER, COLOURS, DIAMETER = 2.3, 2.4, 2.8, 1.0

MELANIN = np.array([0.55, 0.95, 1.2])  # what pigment takes from red, green and blue
BLOOD = np.array([0.05, 0.55, 0.45])
LIGHT = np.array([0.95, 0.82, 0.75])  # the palest skin
BLACK, BLUE_GREY, RED, PALE = np.array([[0.15, 0.11, 0.11], [0.37, 0.38, 0.43], [0.62, 0.27, 0.25], [0.84, 0.70, 0.65]])


def draw_parts(train: int, test: int, size: int, seed: int) -> tuple[LabelledImages, NDArray[np.bool_]]:
    """Training pictures, then test pictures of other lesions: uint8 (train + test, size, size, 3), and bool is_test.

    In each part benign and malignant take turns, and a smaller number is the beginning of a larger one.
    """
    places = [*_places(seed, 0, train), *_places(seed, 1, test)]
    images = np.stack([draw_picture(seed, place, size) for place in places])
    side, label, lesion, _ = np.array(places, np.int64).T
    groups = (lesion * len(PARTS) + side) * len(CLASSES) + label  # no other part or class has the same
    ids = np.array([f"{PARTS[p.side]}-{CLASSES[p.label]}-{p.lesion:04d}-{p.view}" for p in places])
    return LabelledImages(images, label, groups, ids, CLASSES), side == 1


class Place(NamedTuple):
    """Where a picture stands: side 0 (train) or 1 (test), the class, the lesion's number there, the view's number."""

    side: int
    label: int
    lesion: int
    view: int


def _places(seed: int, side: int, number: int) -> list[Place]:
    """The first pictures of one part, the classes in turn."""
    streams = [_views(seed, side, label) for label in range(len(CLASSES))]
    return [next(streams[i % len(CLASSES)]) for i in range(number)]


def _views(seed: int, side: int, label: int) -> Iterator[Place]:
    """Lesion after lesion of one part and class, each with its one to three views, without end."""
    for lesion in count():
        views = 1 + np.random.default_rng([seed, side, label, lesion]).binomial(MOST_VIEWS - 1, 0.3)
        for view in range(views):
            yield Place(side, label, lesion, view)


def draw_picture(seed: int, place: Place, size: int) -> Images:
    """One picture: uint8 (size, size, 3)."""
    stream = [seed, place.side, place.label, place.lesion]
    lesion = Lesion.random(np.random.default_rng([*stream, MOST_VIEWS]), malignant=CLASSES[place.label] == "malignant")
    rng = np.random.default_rng([*stream, place.view])
    view = View.random(rng)
    fine = size * max(2, -(-64 // size))  # drawn larger than asked for, so that edges are smooth
    canvas = Canvas.of(view, fine)
    picture = _lit(_drawn(lesion, canvas), view, canvas)  # (fine, fine, 3)
    lens = _lens(fine, size, view.focus)
    picture = lens @ (lens @ picture.reshape(fine, -1)).reshape(size, fine, 3)  # (size, size, 3)
    picture += rng.normal(0, view.noise, picture.shape)  # the last draw, for how many numbers it takes depends on size
    pixels: Images = np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8)
    return pixels


@dataclass(frozen=True)
class Waves:
    """A random field of mean 0 and variance 1: plane waves of frequencies (K, 2) and phases (K,)."""

    frequencies: Field
    phases: Field

    @classmethod
    def random(cls, rng: Generator, low: float, high: float, number: int = 20) -> Waves:
        """Waves in all directions, `low` to `high` periods a unit length."""
        frequency = rng.uniform(low, high, number)
        angle, phase = rng.uniform(0, 2 * np.pi, (2, number))
        return cls(np.stack([frequency * np.cos(angle), frequency * np.sin(angle)], 1), phase)


@dataclass(frozen=True)
class Lesion:
    """One lesion and the skin around it; what is drawn of every sign is in `random`."""

    skin: Field  # (3,) colour
    texture: Waves
    radius: float
    stretch: Field  # (2, 2), of determinant 1
    outline: Waves
    asymmetry: float
    notches: Waves
    irregularity: float
    softness: float
    fading: float
    density: float
    mottle: Waves
    second_tone: float
    network: float
    patches: tuple[tuple[Field, Waves, float], ...]  # colour, where, how much of it
    hairs: Field  # (n, 6): x, y, angle, bend, half length, half width
    hair_colour: Field  # (3,)

    @classmethod
    def random(cls, rng: Generator, malignant: bool) -> Lesion:
        """A lesion by the ABCD rule: each sign is stronger in malignant ones on average, and overlaps."""
        middle = 0.5 if malignant else -0.5
        a, b, c, d = rng.normal(middle * np.array([ASYMMETRY, BORDER, COLOURS, DIAMETER]), 1)
        radius = _between(0.28, 0.74, d)
        turn, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 0.12) + 0.08 * _between(0, 1, a))
        turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return cls(
            skin=LIGHT * np.exp(-MELANIN * 0.9 * rng.beta(1, 3) - BLOOD * rng.uniform(0, 0.35)),
            texture=Waves.random(rng, 4, 16, 40),
            radius=radius,
            stretch=turned.T @ np.diag([stretch, 1 / stretch]) @ turned,
            outline=Waves.random(rng, 0.2 / radius, 0.55 / radius, 8),
            asymmetry=_between(0.0, 0.34, a),
            notches=Waves.random(rng, 0.6 / radius, 1.6 / radius, 24),
            irregularity=_between(0.0, 0.22, b),
            softness=rng.uniform(0.03, 0.09),
            fading=_between(0.0, 1.6, b),
            density=rng.uniform(0.45, 1.3),
            mottle=Waves.random(rng, 0.3 / radius, 0.9 / radius, 12),
            second_tone=rng.uniform(0, 0.2) + _between(0, 0.4, c),
            network=rng.uniform(0.0, 0.2),
            patches=_patches(rng, c, radius),
            hairs=_hairs(rng),
            hair_colour=np.array([0.16, 0.11, 0.08]) * rng.uniform(0.7, 2.2),
        )


def _between(low: float, high: float, z: float) -> float:
    """A standard normal z as a value between the two bounds, half way at 0."""
    return float(low + (high - low) / (1 + np.exp(-1.7 * z)))


def _patches(rng: Generator, colours: float, radius: float) -> tuple[tuple[Field, Waves, float], ...]:
    """Black, blue-grey, red and pale patches, more of them the more `colours` there are."""
    patches = []
    for colour in (BLACK, BLUE_GREY, RED, PALE):
        waves = Waves.random(rng, 0.2 / radius, 0.6 / radius, 10)
        patches.append((colour, waves, _between(-0.3, 1.0, colours - 0.7 + 0.9 * rng.normal())))
    return tuple(patches)


def _hairs(rng: Generator) -> Field:
    """No hairs, or up to eight curved ones that lie roughly one way: (n, 6)."""
    number = rng.integers(1, 9) if rng.random() < 0.4 else 0
    lie = rng.uniform(0, np.pi)
    low = [-0.8, -0.8, lie - 0.4, -0.35, 0.4, 0.016]
    return rng.uniform(low, [0.8, 0.8, lie + 0.4, 0.35, 1.3, 0.03], (int(number), 6))


@dataclass(frozen=True)
class View:
    """One way to photograph a lesion; nothing of it depends on the class."""

    zoom: float
    angle: float
    shift: Field  # (2,)
    light: Field  # (3,) gain of red, green and blue
    shading: Waves
    shade: float
    vignette: float
    tube: float  # radius of the dermatoscope's round window; outside it is dark
    focus: float  # standard deviation of the blur
    noise: float  # standard deviation of the sensor noise

    @classmethod
    def random(cls, rng: Generator) -> View:
        """Another zoom, rotation, place, light, lens and noise."""
        return cls(
            zoom=float(np.exp(rng.uniform(-0.2, 0.2))),
            angle=rng.uniform(0, 2 * np.pi),
            shift=rng.uniform(-0.14, 0.14, 2),
            light=rng.uniform(0.88, 1.08) * (1 + rng.uniform(-0.04, 0.04, 3)),
            shading=Waves.random(rng, 0.1, 0.4, 6),
            shade=rng.uniform(0.01, 0.06),
            vignette=rng.uniform(0, 0.22),
            tube=rng.uniform(1.0, 1.25) if rng.random() < 0.2 else 9.0,
            focus=rng.uniform(0.004, 0.02),
            noise=rng.uniform(0.004, 0.018),
        )


@dataclass(frozen=True)
class Canvas:
    """The points of a picture (n, n) as the view sees them: lesion point = turn @ picture point + shift."""

    axis: Field  # (n,) from -1 to 1
    turn: Field  # (2, 2)
    shift: Field  # (2,)

    @classmethod
    def of(cls, view: View, points: int) -> Canvas:
        """A canvas of points x points."""
        cos, sin = np.cos(view.angle) / view.zoom, np.sin(view.angle) / view.zoom
        turn = np.array([[cos, sin], [-sin, cos]])
        return cls(_axis(points), turn, -turn @ view.shift)

    def mapped(self, matrix: Field) -> tuple[Field, Field]:
        """Both coordinates of every point after the view and then the matrix: (n, n) each."""
        turn, shift = matrix @ self.turn, matrix @ self.shift
        x, y = self.axis[None, :], self.axis[:, None]
        return turn[0, 0] * x + (turn[0, 1] * y + shift[0]), turn[1, 0] * x + (turn[1, 1] * y + shift[1])

    def field(self, waves: Waves) -> Field:
        """The waves' value at every point: (n, n). cos(kx + ly) is split, so it is one matrix product."""
        across, down = 2 * np.pi * (waves.frequencies @ self.turn).T  # (K,) each
        phases = waves.phases + 2 * np.pi * waves.frequencies @ self.shift
        x, y = np.outer(across, self.axis), np.outer(self.axis, down) + phases  # (K, n) and (n, K)
        field: Field = np.hstack([np.cos(y), -np.sin(y)]) @ np.vstack([np.cos(x), np.sin(x)])
        return field * float(np.sqrt(2 / len(phases)))  # (n, n)


def _axis(points: int) -> Field:
    """The middles of equal pixels from -1 to 1: (points,)."""
    return (np.arange(points) + 0.5) * 2 / points - 1


def _drawn(lesion: Lesion, canvas: Canvas) -> Field:
    """The lesion, its skin and hairs in even light: (n, n, 3)."""
    texture = canvas.field(lesion.texture)
    depth = _depth(lesion, canvas)
    mottle = canvas.field(lesion.mottle)
    soft = lesion.softness * np.exp(lesion.fading * np.clip(mottle, -1, 1.5))
    inside = _step(depth / soft)
    pigment = lesion.density * (0.75 + 0.35 * np.clip(depth, 0, 1) + lesion.second_tone * np.tanh(mottle))
    pigment *= 1 + lesion.network * texture
    pigment = np.clip(pigment, 0.12, None)
    flesh: Field = lesion.skin * np.exp(-MELANIN * (inside * pigment)[..., None])  # (n, n, 3)
    flesh *= 1 + 0.025 * texture[..., None]
    for colour, waves, amount in lesion.patches:
        if amount > 0:
            patch = amount * inside * _step(2 * (canvas.field(waves) + 1.5 * amount - 1.7))
            flesh += 0.8 * patch[..., None] * (colour - flesh)
    flesh += _hair_cover(lesion, canvas)[..., None] * (lesion.hair_colour - flesh)
    return flesh


def _depth(lesion: Lesion, canvas: Canvas) -> Field:
    """How far inside the border every point lies: 1 in the middle, 0 on the border, less outside; (n, n)."""
    x, y = canvas.mapped(lesion.stretch / lesion.radius)
    inside = 1 - np.sqrt(x * x + y * y)
    uneven = lesion.asymmetry * canvas.field(lesion.outline) + lesion.irregularity * canvas.field(lesion.notches)
    return inside + uneven / (1 + np.square(5 * np.minimum(inside, 0)))  # fading outward, or islands would appear


def _step(x: Field) -> Field:
    """From 0 far below 0 to 1 far above it, smoothly."""
    return 0.5 + 0.5 * np.tanh(x)


def _hair_cover(lesion: Lesion, canvas: Canvas) -> Field:
    """How much of every point lies under a hair: (n, n), 0 to 0.9."""
    bare = np.ones((len(canvas.axis), len(canvas.axis)))
    u, v = canvas.mapped(np.eye(2))
    for x, y, angle, bend, half_length, half_width in lesion.hairs:
        cos, sin = np.cos(angle), np.sin(angle)
        along = cos * (u - x) + sin * (v - y)
        square = along * along
        beside = (cos * (v - y) - sin * (u - x) - bend * square) / half_width
        end = np.square(square / half_length**2)  # to the fourth power; squared, the eighth: a hair ends abruptly
        bare *= 1 - 0.9 * np.exp(-beside * beside - end * end)
    return 1 - bare


def _lit(flesh: Field, view: View, canvas: Canvas) -> Field:
    """The picture in the view's light, darker to the edge: (n, n, 3)."""
    x, y = canvas.axis[None, :], canvas.axis[:, None]
    radius = np.sqrt(x * x + y * y)
    upright = Canvas(canvas.axis, np.eye(2), np.zeros(2))
    light = (1 + view.shade * upright.field(view.shading)) * (1 - view.vignette * radius**3 / 2)
    light *= 0.06 + 0.94 * _step((view.tube - radius) / 0.03)
    return flesh * (light[..., None] * view.light)


def _lens(fine: int, size: int, focus: float) -> Field:
    """The matrix that blurs and shrinks one axis: (size, fine), rows sum to 1."""
    width = np.hypot(focus, 0.4 * 2 / size)  # the blur and a pixel's own width
    weights: Field = np.exp(-0.5 * ((_axis(size)[:, None] - _axis(fine)) / width) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights
