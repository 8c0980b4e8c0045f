"""Drawing the pictures of `skin-phantom`.

A lesion is drawn from its own random stream (seed, part, class, number) and every view of it from another
(the same and the view's number), so that a picture depends on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lesionbench.builtin.skin_scene import MELANIN, Field, Lesion, View, Waves
from lesionbench.pipeline.images import LabelledImages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images

PARTS = ("train", "test")
CLASSES = ("benign", "malignant")
MOST_VIEWS = 3


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
        """The waves' value at every point: (n, n). cos(kx + ly) is split, so that it is one matrix product."""
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
    inside: Field = 1 - np.sqrt(x * x + y * y)
    uneven = lesion.asymmetry * canvas.field(lesion.outline) + lesion.irregularity * canvas.field(lesion.notches)
    inside += uneven / (1 + np.square(5 * np.minimum(inside, 0)))  # less of it outside, or islands would appear
    return inside


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
