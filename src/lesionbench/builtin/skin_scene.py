"""What a picture of `skin-phantom` shows: a random lesion on its skin, and a random way to photograph it.

Lengths are in half widths of the picture, so a lesion looks the same at any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.builtin.phantom_fields import Field, Waves

if TYPE_CHECKING:
    from numpy.random import Generator

# The difference between the class means of each sign, in standard deviations: this sets the difficulty.
ASYMMETRY, BORDER, COLOURS, DIAMETER = 2.3, 2.4, 2.8, 1.0

MELANIN = np.array([0.55, 0.95, 1.2])  # what pigment absorbs of red, green and blue
BLOOD = np.array([0.05, 0.55, 0.45])
LIGHT = np.array([0.95, 0.82, 0.75])  # the palest skin
BLACK, BLUE_GREY, RED, PALE = np.array([[0.15, 0.11, 0.11], [0.37, 0.38, 0.43], [0.62, 0.27, 0.25], [0.84, 0.70, 0.65]])


@dataclass(frozen=True)
class Lesion:
    """One lesion and the skin around it."""

    skin: Field  # (3,) colour
    texture: Waves  # the skin's fine relief, and the pigment's network
    radius: float  # D
    stretch: Field  # (2, 2), of determinant 1: round to oval
    outline: Waves  # A: bulges about as long as the lesion, and their height
    asymmetry: float
    notches: Waves  # B: shorter bulges, and their height
    irregularity: float
    softness: float  # width of the border
    fading: float  # B: variation of that width
    density: float  # of the pigment, from light to dark brown
    mottle: Waves  # C: where the second tone is, and its strength
    second_tone: float
    network: float
    patches: tuple[tuple[Field, Waves, float], ...]  # C: colour, where, and how much of it
    hairs: Field  # (n, 6): x, y, angle, bend, half length, half width
    hair_colour: Field  # (3,)

    @classmethod
    def random(cls, rng: Generator, malignant: bool) -> Lesion:
        """A random lesion by the ABCD rule: on average, each sign is stronger in malignant lesions."""
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
    """A value between the bounds from a standard normal z, the middle for z = 0."""
    return float(low + (high - low) / (1 + np.exp(-1.7 * z)))


def _patches(rng: Generator, colours: float, radius: float) -> tuple[tuple[Field, Waves, float], ...]:
    """Black, blue-grey, red and pale patches; larger `colours` gives more of them."""
    patches = []
    for colour in (BLACK, BLUE_GREY, RED, PALE):
        waves = Waves.random(rng, 0.2 / radius, 0.6 / radius, 10)
        patches.append((colour, waves, _between(-0.3, 1.0, colours - 0.7 + 0.9 * rng.normal())))
    return tuple(patches)


def _hairs(rng: Generator) -> Field:
    """No hairs, or up to eight curved ones in roughly one direction: (n, 6)."""
    number = rng.integers(1, 9) if rng.random() < 0.4 else 0
    lie = rng.uniform(0, np.pi)
    low = [-0.8, -0.8, lie - 0.4, -0.35, 0.4, 0.016]
    return rng.uniform(low, [0.8, 0.8, lie + 0.4, 0.35, 1.3, 0.03], (int(number), 6))


@dataclass(frozen=True)
class View:
    """One way to photograph a lesion; independent of the class."""

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
        """A random zoom, rotation, position, light, lens and noise."""
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
