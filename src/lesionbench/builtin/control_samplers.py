"""The samplers of the controls; in a file of their own, so that listing the controls does not import numpy."""

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
    """A sampler that draws no images: of the baseline and of the control that holds back real images."""

    shape: tuple[int, int, int]  # height, width, channels of a training image

    def sample(self, label: int, count: int, seed: int) -> Images:
        """No images, uint8 (0, H, W, C); raises ContractError if count is not 0."""
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
        """`count` real images of the class, uint8 (count, H, W, C); each is used once before any is used twice.

        Raises ContractError if the class has no image.
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
        """The sampler that `save` wrote into this folder."""
        with np.load(folder / "real.npz", allow_pickle=False) as arrays:
            return cls(arrays["images"], arrays["labels"])


@dataclass(frozen=True, eq=False)
class ClassBlindNoise:
    """A sampler of noise.

    mean, deviation: float64 (C,), of all training pixels, in grey levels.  shape: height, width, channels.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, images: Images) -> ClassBlindNoise:
        """A sampler of noise with the mean and standard deviation of these images."""
        height, width, channels = images.shape[1:]
        return cls(images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2)), (height, width, channels))

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` images of noise, uint8 (count, H, W, C); all labels have the same distribution, but other images."""
        noise = np.random.default_rng([seed, label]).standard_normal((count, *self.shape), np.float32)
        levels = np.clip(np.rint(noise * self.deviation + self.mean), 0, 255)
        return levels.astype(np.uint8)

    def save(self, folder: Path) -> None:
        """Write `noise.npz` into the folder."""
        np.savez(folder / "noise.npz", mean=self.mean, deviation=self.deviation, shape=self.shape)

    @classmethod
    def load(cls, folder: Path) -> ClassBlindNoise:
        """The sampler that `save` wrote into this folder."""
        with np.load(folder / "noise.npz", allow_pickle=False) as kept:
            height, width, channels = kept["shape"].tolist()
            return cls(kept["mean"], kept["deviation"], (height, width, channels))


def repeated_order(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """`count` positions in 0..total-1, int64 (count,): one random order of all positions after another.

    A larger count starts with the positions of a smaller one with the same seed, so doses are nested.
    """
    generator = np.random.default_rng(seed)
    rounds = -(-count // total) if total else 0
    orders = [generator.permutation(total) for _ in range(rounds)]
    return np.concatenate([np.zeros(0, np.int64), *orders])[:count]
