"""How the lesions of `liver-phantom` look: typical and atypical cysts, metastases and hemangiomas in portal phase.

Lengths are in units of the lesion's radius; depth is 1 in its middle and 0 on its border.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.builtin.liver_scene import LARGEST, SMALLEST
from lesionbench.builtin.phantom_fields import Waves

if TYPE_CHECKING:
    from numpy.random import Generator

    from lesionbench.builtin.liver_scene import Patient
    from lesionbench.builtin.phantom_fields import Field

CLASSES = ("cyst", "metastasis", "hemangioma")


def _none() -> Field:
    return np.empty((0, 3))


@dataclass(frozen=True)
class Look:
    """One lesion's brightness in HU and its shape."""

    core: float  # HU
    softness: float  # width of the border
    irregularity: float  # how far bulges and notches go
    mottle: float = 4.0  # HU, variation inside
    centre: float = 0.0  # HU added in the middle (negative: necrosis)
    centre_depth: float = 0.5
    rim: float = 0.0  # HU added along the border
    rim_depth: float = 0.15
    rim_width: float = 0.12
    rim_gaps: float = 0.3  # how broken the rim is
    halo: float = 0.0  # HU added just outside the border
    nodules: Field = field(default_factory=_none)  # (n, 3): direction, half width along the border, depth reached
    nodule: float = 0.0  # HU added in a nodule
    septa: Field = field(default_factory=_none)  # (n, 3): angle, distance from the middle, half width
    septum: float = 0.0  # HU added in a septum


@dataclass(frozen=True)
class Lesion:
    """A lesion as it lies in the slice."""

    radius: float  # mm
    stretch: Field  # (2, 2), of determinant 1: round to oval
    outline: Waves  # bulges about as long as the lesion
    notches: Waves  # shorter bulges
    texture: Waves
    gaps: Waves  # where a rim is broken
    look: Look

    @classmethod
    def random(cls, rng: Generator, label: int, patient: Patient) -> Lesion:
        """A lesion of class CLASSES[label], of 10 to 102 mm."""
        radius = float(np.clip(np.exp(rng.normal(np.log(13.5), 0.55)), SMALLEST / 2, LARGEST / 2))
        turn, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 0.2))
        turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return cls(
            radius=radius,
            stretch=turned.T @ np.diag([stretch, 1 / stretch]) @ turned,
            outline=Waves.random(rng, 0.2, 0.55, 8),
            notches=Waves.random(rng, 0.6, 1.5, 20),
            texture=Waves.random(rng, 0.3, 1.6, 20),
            gaps=Waves.random(rng, 0.4, 0.9, 10),
            look=_in_the_slice(rng, LOOKS[label](rng, patient), patient, 2 * radius),
        )


def _in_the_slice(rng: Generator, look: Look, patient: Patient, diameter: float) -> Look:
    """The look in a thick slice, which averages a small lesion with liver: paler, with a softer border."""
    share = rng.uniform(0, 0.6) * patient.thickness / diameter  # of liver, 0 to 0.3
    return replace(
        look,
        core=look.core + share * (patient.liver - look.core),
        rim=look.rim * (1 - share),
        centre=look.centre * (1 - share),
        nodule=look.nodule * (1 - share),
        softness=look.softness + rng.uniform(0, 0.35) * patient.thickness / diameter,
    )


def cyst(rng: Generator, patient: Patient) -> Look:
    """A cyst: dark as water, sharp and even; sometimes with thick content, septa or a faint wall."""
    core = min(rng.normal(10, 8), patient.liver - 25)
    look = Look(core, rng.uniform(0.02, 0.09), rng.uniform(0, 0.09), mottle=rng.uniform(0, 3))
    kind = rng.random()
    if kind < 0.14:  # thick content
        look = replace(look, core=min(rng.uniform(25, 55), patient.liver - 25), mottle=rng.uniform(1, 6))
    elif kind < 0.28:  # lobulated, with septa
        lines = np.stack([rng.uniform(0, np.pi, 2), rng.uniform(-0.5, 0.5, 2), rng.uniform(0.03, 0.07, 2)], 1)
        look = replace(look, irregularity=rng.uniform(0.08, 0.2), septa=lines, septum=rng.uniform(15, 45))
    if rng.random() < 0.25:
        look = replace(look, rim=rng.uniform(10, 35), rim_depth=0.05, rim_width=rng.uniform(0.06, 0.12))
    return look


def metastasis(rng: Generator, patient: Patient) -> Look:
    """A metastasis: less dark, irregular, ill-defined, with a rim or like a target; some homogeneous, some cystic."""
    dark = patient.liver - rng.uniform(22, 55)
    look = Look(dark, rng.uniform(0.08, 0.26), rng.uniform(0.08, 0.26), mottle=rng.uniform(4, 13))
    kind = rng.random()
    if kind < 0.45:  # a target: dark middle, paler ring, dark border
        look = replace(
            look,
            centre=-rng.uniform(10, 40),
            centre_depth=rng.uniform(0.35, 0.65),
            rim=rng.uniform(16, 44),
            rim_depth=rng.uniform(0.2, 0.35),
            rim_width=rng.uniform(0.12, 0.22),
            halo=-rng.uniform(4, 22),
        )
    elif kind < 0.65:  # a rim around dead tissue
        look = replace(look, core=rng.uniform(18, 50), rim=rng.uniform(25, 70), rim_depth=rng.uniform(0.06, 0.18))
    elif kind < 0.74:  # cystic
        look = replace(
            look,
            core=rng.uniform(8, 35),
            softness=rng.uniform(0.03, 0.1),
            irregularity=rng.uniform(0.02, 0.15),
            mottle=rng.uniform(1, 6),
            rim=rng.uniform(0, 25),
            rim_depth=0.06,
        )
    return look


def hemangioma(rng: Generator, patient: Patient) -> Look:
    """A hemangioma: bright nodules grow inwards from the border; some are filled, some have hardly any."""
    pale = patient.liver - rng.uniform(20, 60)
    look = Look(pale, rng.uniform(0.04, 0.13), rng.uniform(0.03, 0.16), mottle=rng.uniform(2, 8))
    contrast = (patient.blood - pale) * rng.uniform(0.85, 1.2)
    kind = rng.random()
    if kind < 0.7:
        return replace(look, nodules=_nodules(rng, int(rng.integers(3, 8)), rng.uniform(0.35, 0.65)), nodule=contrast)
    if kind < 0.88:  # filled but for the middle
        filled = patient.liver + rng.uniform(0.2, 1) * (patient.blood - patient.liver)
        return replace(look, core=filled, centre=-rng.uniform(0, 50), centre_depth=rng.uniform(0.45, 0.9))
    faint = contrast * rng.uniform(0.3, 0.7)  # dark, with few nodules or none
    return replace(look, nodules=_nodules(rng, int(rng.integers(0, 4)), 0.4), nodule=faint)


def _nodules(rng: Generator, number: int, deepest: float) -> Field:
    """Nodules on the border that rarely overlap: (number, 3)."""
    direction = rng.uniform(0, 2 * np.pi) + (np.arange(number) + rng.uniform(-0.3, 0.3, number)) * 2.4
    return np.stack([direction, rng.uniform(0.18, 0.46, number), rng.uniform(0.15, deepest, number)], 1)


LOOKS = (cyst, metastasis, hemangioma)
