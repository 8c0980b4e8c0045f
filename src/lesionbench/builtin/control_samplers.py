"""The samplers of the controls; apart from their settings, so that those are listed without numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import ContractError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench.pipeline.images import Images, Labels


@dataclass(frozen=True)
class NoImages:
    """A sampler of zero images: of the baseline, and of what holds real images back."""

    shape: tuple[int, int, int]  # height, width, channels of a training image

    def sample(self, label: int, count: int, seed: int) -> Images:
        """No images, uint8 (0, H, W, C); raises ContractError when more than zero are asked for."""
        if count:
            raise ContractError(f"no synthetic images can be drawn here, but {count} were asked for; use dose 0")
        return np.zeros((0, *self.shape), np.uint8)


@dataclass(frozen=True, eq=False)
class RealAgain:
    """A sampler of the training images themselves.

    images: uint8 (N, H, W, C).  labels: int64 (N,).
    """

    images: Images
    labels: Labels

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` real images of the class: uint8 (count, H, W, C), all of them once before any comes twice.

        Raises ContractError when the class has no image to repeat.
        """
        own = np.flatnonzero(self.labels == label)
        if count and not len(own):
            raise ContractError(f"a class needs at least one real image to repeat, but class {label} has none")
        return self.images[own[repeated_order(len(own), count, seed)]]

    def save(self, folder: Path) -> None:
        """Write `real.npz` into the folder."""
        np.savez(folder / "real.npz", images=self.images, labels=self.labels)

    @classmethod
    def load(cls, folder: Path) -> RealAgain:
        """A sampler as `save` wrote it into this folder."""
        with np.load(folder / "real.npz", allow_pickle=False) as arrays:
            return cls(arrays["images"], arrays["labels"])


@dataclass(frozen=True, eq=False)
class ClassBlindNoise:
    """A sampler of noise.

    mean, deviation: float64 (C,), of all pixels that it saw, in grey levels.  shape: height, width, channels.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, images: Images) -> ClassBlindNoise:
        """The noise of these images' brightness and contrast."""
        height, width, channels = images.shape[1:]
        return cls(images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2)), (height, width, channels))

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` images of noise, uint8 (count, H, W, C); other ones for another label, and no different."""
        drawn = np.random.default_rng([seed, label]).standard_normal((count, *self.shape), np.float32)
        levels = np.clip(np.rint(drawn * self.deviation + self.mean), 0, 255)
        return levels.astype(np.uint8)

    def save(self, folder: Path) -> None:
        """Write `noise.npz` into the folder."""
        np.savez(folder / "noise.npz", mean=self.mean, deviation=self.deviation, shape=self.shape)

    @classmethod
    def load(cls, folder: Path) -> ClassBlindNoise:
        """A sampler as `save` wrote it into this folder."""
        with np.load(folder / "noise.npz", allow_pickle=False) as kept:
            height, width, channels = kept["shape"].tolist()
            return cls(kept["mean"], kept["deviation"], (height, width, channels))


def repeated_order(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """`count` positions in 0..total-1, int64 (count,): one random order of all after another.

    The beginning of a longer order is the shorter one of the same seed, so that doses are nested.
    """
    generator = np.random.default_rng(seed)
    rounds = -(-count // total) if total else 0
    orders = [generator.permutation(total) for _ in range(rounds)]
    return np.concatenate([np.zeros(0, np.int64), *orders])[:count]
