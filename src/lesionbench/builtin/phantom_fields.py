"""What the drawn datasets share: random fields, and the points of a picture that they are evaluated at.

A field is a sum of plane waves, so it can be turned and zoomed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.random import Generator

Field = NDArray[np.float64]


@dataclass(frozen=True)
class Waves:
    """A random field of mean 0 and variance 1: plane waves of frequencies (K, 2) and phases (K,)."""

    frequencies: Field
    phases: Field

    @classmethod
    def random(cls, rng: Generator, low: float, high: float, number: int = 20) -> Waves:
        """Waves in all directions with `low` to `high` periods per unit of length."""
        frequency = rng.uniform(low, high, number)
        angle, phase = rng.uniform(0, 2 * np.pi, (2, number))
        return cls(np.stack([frequency * np.cos(angle), frequency * np.sin(angle)], 1), phase)


@dataclass(frozen=True)
class Canvas:
    """The points of a picture (n, n) in the coordinates of the lesion: lesion point = turn @ picture point + shift."""

    axis: Field  # (n,) coordinates of the columns, and of the rows
    turn: Field  # (2, 2)
    shift: Field  # (2,)

    def mapped(self, matrix: Field) -> tuple[Field, Field]:
        """Both coordinates of every point, (n, n) each, multiplied by the matrix."""
        turn, shift = matrix @ self.turn, matrix @ self.shift
        x, y = self.axis[None, :], self.axis[:, None]
        return turn[0, 0] * x + (turn[0, 1] * y + shift[0]), turn[1, 0] * x + (turn[1, 1] * y + shift[1])

    def field(self, waves: Waves) -> Field:
        """The field's value at every point, (n, n); cos(kx + ly) is split so that it takes one matrix product."""
        across, down = 2 * np.pi * (waves.frequencies @ self.turn).T  # (K,) each
        phases = waves.phases + 2 * np.pi * waves.frequencies @ self.shift
        x, y = np.outer(across, self.axis), np.outer(self.axis, down) + phases  # (K, n) and (n, K)
        field: Field = np.hstack([np.cos(y), -np.sin(y)]) @ np.vstack([np.cos(x), np.sin(x)])
        return field * float(np.sqrt(2 / len(phases)))  # (n, n)


def smooth_step(x: Field) -> Field:
    """A smooth step: 0 far below 0, 1 far above 0."""
    return 0.5 + 0.5 * np.tanh(x)
