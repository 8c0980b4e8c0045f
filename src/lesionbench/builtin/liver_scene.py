"""What a picture of `liver-phantom` shows around the lesion: a random patient, scanner and part of the liver.

Brightness is in Hounsfield units (HU), length in mm; the origin is the lesion's centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.builtin.phantom_fields import Waves

if TYPE_CHECKING:
    from numpy.random import Generator

    from lesionbench.builtin.phantom_fields import Field

FAT, MUSCLE, BONE, LUNG, BOWEL, KIDNEY = -95.0, 58.0, 380.0, -820.0, 20.0, 165.0
SMALLEST, LARGEST = 10.0, 102.0  # mm, Frid-Adar 2018 section II-A


@dataclass(frozen=True)
class Patient:
    """One patient in portal phase on one scanner, and the radiologist's window."""

    liver: float  # HU
    blood: float  # HU of the veins; never below the liver
    pixel: float  # mm
    thickness: float  # mm, of a slice
    blur: float  # mm, standard deviation of the point spread
    noise: float  # HU
    grain: float  # mm, coarseness of the noise
    level: float  # HU
    width: float  # HU

    @classmethod
    def random(cls, rng: Generator) -> Patient:
        """A random patient; one in ten has a fatty liver."""
        liver = rng.normal(74, 8) if rng.random() < 0.1 else rng.normal(108, 11)
        thickness = float(rng.choice([1.25, 2.5, 3.0, 5.0]))
        smooth = rng.random() < 0.5  # one of two reconstruction kernels
        return cls(
            liver=liver,
            blood=liver + max(18.0, rng.normal(46, 12)),
            pixel=rng.uniform(0.6, 0.92),
            thickness=thickness,
            blur=rng.uniform(0.55, 0.8) if smooth else rng.uniform(0.35, 0.55),
            noise=rng.uniform(5, 11) * (0.8 if smooth else 1.25) * (2.5 / thickness) ** 0.25,
            grain=rng.uniform(0.75, 1.0) if smooth else rng.uniform(0.5, 0.7),
            level=rng.uniform(75, 115),
            width=rng.uniform(170, 290),
        )


@dataclass(frozen=True)
class Border:
    """Where the liver ends, and what lies beyond it."""

    angle: float
    distance: float  # mm from the lesion's centre
    radius: float  # mm, of the liver's curvature
    fat: float  # mm, thickness of the fat
    beyond: float  # HU
    ribs: Field  # (n, 4): x, y along and behind the border, half length and half width in mm


@dataclass(frozen=True)
class Surroundings:
    """The part of the liver around a lesion."""

    side: float  # mm, of the picture
    shift: Field  # (2,) mm, from the middle of the picture to the lesion's centre
    uneven: Waves
    unevenness: float  # HU
    vessels: Field  # (n, 7): x, y, angle, bend, half length, half width in mm, share of the blood's brightness
    border: Border | None

    @classmethod
    def random(cls, rng: Generator, diameter: float) -> Surroundings:
        """Random surroundings in a picture with a margin of 10% to 45% of the lesion's diameter."""
        side = diameter * (1 + 2 * rng.uniform(0.1, 0.45))
        return cls(
            side=side,
            shift=rng.uniform(-0.07, 0.07, 2) * diameter,
            uneven=Waves.random(rng, 0.01, 0.06, 12),
            unevenness=rng.uniform(1, 5),
            vessels=_vessels(rng, side),
            border=_border(rng, diameter, side) if rng.random() < 0.15 + 0.3 * (side > 45) else None,
        )


def _vessels(rng: Generator, side: float) -> Field:
    """Veins across and along the slice, (n, 7); wider pictures have more of them."""
    number = min(12, rng.poisson(1.0 + side / 12))
    x, y = rng.uniform(-0.55, 0.55, (2, number)) * side
    half_width = np.minimum(np.exp(rng.normal(0.65, 0.5, number)), 5.5)
    half_length = np.where(rng.random(number) < 0.35, 1.3 * half_width, rng.uniform(6, 28, number))
    angle, bend = rng.uniform(0, np.pi, number), rng.uniform(-0.02, 0.02, number)
    return np.stack([x, y, angle, bend, half_length, half_width, rng.uniform(0.5, 1, number)], 1)


def _border(rng: Generator, diameter: float, side: float) -> Border:
    """The liver's border in the picture's margin, followed by fat and then the wall, lung, bowel or kidney."""
    beyond, ribs = float(rng.choice([MUSCLE, LUNG, BOWEL, KIDNEY], p=[0.5, 0.2, 0.15, 0.15])), np.empty((0, 4))
    if beyond == MUSCLE:
        number = int(rng.integers(1, 3))
        low, high = [-0.4 * side, 3, 5, 2.5], [0.4 * side, 9, 11, 4.5]
        ribs = rng.uniform(low, high, (number, 4))
    return Border(
        angle=rng.uniform(0, 2 * np.pi),
        distance=diameter / 2 * rng.uniform(0.92, 1.35),
        radius=rng.uniform(50, 110),
        fat=max(0.0, rng.normal(3, 4)),
        beyond=beyond,
        ribs=ribs,
    )
