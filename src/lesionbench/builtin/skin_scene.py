"""What is on a picture of `skin-phantom`: a lesion on its skin, and one way to photograph it, both drawn by lot.

Lengths are in half widths of the picture, so that one lesion looks the same at any size. A structure is a sum of
plane waves: it can be turned and zoomed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.random import Generator

Field = NDArray[np.float64]

# How far apart the two classes lie on average in each sign, in standard deviations: the difficulty.
ASYMMETRY, BORDER, COLOURS, DIAMETER = 2.3, 2.4, 2.8, 1.0

MELANIN = np.array([0.55, 0.95, 1.2])  # what pigment takes from red, green and blue
BLOOD = np.array([0.05, 0.55, 0.45])
LIGHT = np.array([0.95, 0.82, 0.75])  # the palest skin
BLACK, BLUE_GREY, RED, PALE = np.array([[0.15, 0.11, 0.11], [0.37, 0.38, 0.43], [0.62, 0.27, 0.25], [0.84, 0.70, 0.65]])


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
    """One lesion and the skin around it."""

    skin: Field  # (3,) colour
    texture: Waves  # the skin's fine relief, and the pigment's network
    radius: float  # D
    stretch: Field  # (2, 2), of determinant 1: round to oval
    outline: Waves  # A: bulges as long as the lesion, and how far they go
    asymmetry: float
    notches: Waves  # B: shorter ones, and how far they go
    irregularity: float
    softness: float  # width of the border
    fading: float  # B: how uneven that width is
    density: float  # of the pigment: light to dark brown
    mottle: Waves  # C: where the second tone lies, and how strong it is
    second_tone: float
    network: float
    patches: tuple[tuple[Field, Waves, float], ...]  # C: colour, where, how much of it
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
