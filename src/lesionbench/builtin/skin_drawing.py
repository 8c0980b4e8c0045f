"""Drawing the pictures of `skin-phantom`.

Every lesion has its own random stream (seed, part, class, number), and so has every view of it (the same and the
number of the view), so a picture depends on nothing else.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lesionbench.builtin.phantom_fields import Canvas, smooth_step
from lesionbench.builtin.skin_scene import MELANIN, Lesion, View
from lesionbench.pipeline.images import LabelledImages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lesionbench.builtin.phantom_fields import Field
    from lesionbench.pipeline.images import Images

PARTS = ("train", "test")
CLASSES = ("benign", "malignant")
MOST_VIEWS = 3


def draw_parts(train: int, test: int, size: int, seed: int) -> tuple[LabelledImages, NDArray[np.bool_]]:
    """Training pictures, then test pictures of other lesions: uint8 (train + test, size, size, 3), and bool is_test.

    In each part, benign and malignant alternate; a smaller number gives the first pictures of a larger one.
    """
    places = [*_places(seed, 0, train), *_places(seed, 1, test)]
    images = np.stack([draw_picture(seed, place, size) for place in places])
    side, label, lesion, _ = np.array(places, np.int64).T
    groups = (lesion * len(PARTS) + side) * len(CLASSES) + label  # unique across parts and classes
    ids = np.array([f"{PARTS[p.side]}-{CLASSES[p.label]}-{p.lesion:04d}-{p.view}" for p in places])
    return LabelledImages(images, label, groups, ids, CLASSES), side == 1


class Place(NamedTuple):
    """What a picture shows: side 0 (train) or 1 (test), the class, and the numbers of the lesion and of the view."""

    side: int
    label: int
    lesion: int
    view: int


def _places(seed: int, side: int, number: int) -> list[Place]:
    """The first pictures of one part; the classes alternate."""
    streams = [_views(seed, side, label) for label in range(len(CLASSES))]
    return [next(streams[i % len(CLASSES)]) for i in range(number)]


def _views(seed: int, side: int, label: int) -> Iterator[Place]:
    """The views of one part and class, endlessly: lesion after lesion, one to three views each."""
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
    fine = size * max(2, -(-64 // size))  # drawn larger and then reduced, for smooth edges
    canvas = _canvas(view, fine)
    picture = _lit(_drawn(lesion, canvas), view, canvas)  # (fine, fine, 3)
    lens = _lens(fine, size, view.focus)
    picture = lens @ (lens @ picture.reshape(fine, -1)).reshape(size, fine, 3)  # (size, size, 3)
    picture += rng.normal(0, view.noise, picture.shape)  # drawn last: the size changes how many numbers it takes
    pixels: Images = np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8)
    return pixels


def _canvas(view: View, points: int) -> Canvas:
    """The points x points pixels of a picture, seen with this view's zoom, angle and shift."""
    cos, sin = np.cos(view.angle) / view.zoom, np.sin(view.angle) / view.zoom
    turn = np.array([[cos, sin], [-sin, cos]])
    return Canvas(_axis(points), turn, -turn @ view.shift)


def _axis(points: int) -> Field:
    """The centres of `points` equal pixels between -1 and 1: (points,)."""
    return (np.arange(points) + 0.5) * 2 / points - 1


def _drawn(lesion: Lesion, canvas: Canvas) -> Field:
    """The lesion, its skin and hairs in uniform light: (n, n, 3)."""
    texture = canvas.field(lesion.texture)
    depth = _depth(lesion, canvas)
    mottle = canvas.field(lesion.mottle)
    soft = lesion.softness * np.exp(lesion.fading * np.clip(mottle, -1, 1.5))
    inside = smooth_step(depth / soft)
    pigment = lesion.density * (0.75 + 0.35 * np.clip(depth, 0, 1) + lesion.second_tone * np.tanh(mottle))
    pigment *= 1 + lesion.network * texture
    pigment = np.clip(pigment, 0.12, None)
    flesh: Field = lesion.skin * np.exp(-MELANIN * (inside * pigment)[..., None])  # (n, n, 3)
    flesh *= 1 + 0.025 * texture[..., None]
    for colour, waves, amount in lesion.patches:
        if amount > 0:
            patch = amount * inside * smooth_step(2 * (canvas.field(waves) + 1.5 * amount - 1.7))
            flesh += 0.8 * patch[..., None] * (colour - flesh)
    flesh += _hair_cover(lesion, canvas)[..., None] * (lesion.hair_colour - flesh)
    return flesh


def _depth(lesion: Lesion, canvas: Canvas) -> Field:
    """The depth of every point, (n, n): 1 in the middle of the lesion, 0 on its border, negative outside."""
    x, y = canvas.mapped(lesion.stretch / lesion.radius)
    inside: Field = 1 - np.sqrt(x * x + y * y)
    uneven = lesion.asymmetry * canvas.field(lesion.outline) + lesion.irregularity * canvas.field(lesion.notches)
    inside += uneven / (1 + np.square(5 * np.minimum(inside, 0)))  # weaker outside: no islands
    return inside


def _hair_cover(lesion: Lesion, canvas: Canvas) -> Field:
    """How much hairs cover every point: (n, n), 0 to 0.9."""
    bare = np.ones((len(canvas.axis), len(canvas.axis)))
    u, v = canvas.mapped(np.eye(2))
    for x, y, angle, bend, half_length, half_width in lesion.hairs:
        cos, sin = np.cos(angle), np.sin(angle)
        along = cos * (u - x) + sin * (v - y)
        square = along * along
        beside = (cos * (v - y) - sin * (u - x) - bend * square) / half_width
        end = np.square(square / half_length**2)  # with the squares, an eighth power: a hair ends abruptly
        bare *= 1 - 0.9 * np.exp(-beside * beside - end * end)
    return 1 - bare


def _lit(flesh: Field, view: View, canvas: Canvas) -> Field:
    """The picture in the view's light, darker towards the edge: (n, n, 3)."""
    x, y = canvas.axis[None, :], canvas.axis[:, None]
    radius = np.sqrt(x * x + y * y)
    upright = Canvas(canvas.axis, np.eye(2), np.zeros(2))
    light = (1 + view.shade * upright.field(view.shading)) * (1 - view.vignette * radius**3 / 2)
    light *= 0.06 + 0.94 * smooth_step((view.tube - radius) / 0.03)
    return flesh * (light[..., None] * view.light)


def _lens(fine: int, size: int, focus: float) -> Field:
    """The matrix that blurs and reduces one axis: (size, fine), rows sum to 1."""
    width = np.hypot(focus, 0.4 * 2 / size)  # of the blur and of a pixel together
    weights: Field = np.exp(-0.5 * ((_axis(size)[:, None] - _axis(fine)) / width) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights
