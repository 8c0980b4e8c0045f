"""The sampler of `classic`: changed copies of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench import ContractError
from lesionbench_classic.changes import Changes, changed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench import Images, Labels
    from lesionbench_classic import Classic

# What a random stream is used for: part of its key, so that streams of one seed are independent.
ORDER, COPY, ON_THE_FLY = range(3)


@dataclass(frozen=True, eq=False)
class ClassicSampler:
    """A sampler of changed copies of the training images.

    images: uint8 (N, H, W, C), C = 1 or 3.  labels: int64 (N,).
    """

    settings: Classic
    images: Images
    labels: Labels

    def sample(self, label: int, count: int, seed: int) -> Images:
        """`count` copies of the class's images, uint8 (count, H, W, C); each is copied once before any is copied twice.

        Copy number i depends only on the seed, the label and i, so doses are nested.
        Raises ContractError if the class has no image to copy.
        """
        own = np.flatnonzero(self.labels == label)
        if count and not len(own):
            raise ContractError(f"a class needs at least one real image to copy, but class {label} has none")
        chosen = own[_order(len(own), count, _stream(seed, ORDER, label))]
        return self._changed(self.images, chosen, _stream(seed, COPY, label))

    def transform(self, images: Images, seed: int) -> Images:
        """The same images, each changed at random: uint8 (N, H, W, C).

        The change of image number i depends only on the seed and i.
        """
        return self._changed(images, np.arange(len(images)), _stream(seed, ON_THE_FLY))

    def save(self, folder: Path) -> None:
        """Write `settings.json` and `real.npz` into the folder."""
        (folder / "settings.json").write_text(self.settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
        np.savez(folder / "real.npz", images=self.images, labels=self.labels)

    @classmethod
    def load(cls, folder: Path) -> ClassicSampler:
        """The sampler that `save` wrote into this folder, with its settings."""
        from lesionbench_classic import Classic

        settings = Classic.model_validate_json((folder / "settings.json").read_text(encoding="utf-8"))
        with np.load(folder / "real.npz", allow_pickle=False) as arrays:
            return cls(settings, arrays["images"], arrays["labels"])

    def _changed(self, images: Images, chosen: NDArray[np.int64], stream: np.random.Generator) -> Images:
        """The chosen images, each changed at random: uint8 (n, H, W, C), a new array."""
        height, width = images.shape[1:3]
        shift = round(self.settings.translation * min(height, width))  # whole pixels
        changes = Changes.draw(self.settings, shift, len(chosen), stream)
        copies = np.empty((len(chosen), *images.shape[1:]), np.uint8)
        each = zip(chosen, changes.matrices(height, width), changes.flips.tolist(), strict=True)
        for i, (number, matrix, flip) in enumerate(each):
            copies[i] = changed(np.ascontiguousarray(images[number]), matrix, flip)
        return copies


def _stream(seed: int, *key: int) -> np.random.Generator:
    """The random stream that belongs to this seed and key."""
    return np.random.default_rng(np.random.SeedSequence(seed % 2**64, spawn_key=key))


def _order(total: int, count: int, stream: np.random.Generator) -> NDArray[np.int64]:
    """`count` positions in 0..total-1, int64 (count,): one random order of all positions after another."""
    rounds = -(-count // total) if total else 0
    orders = [stream.permutation(total) for _ in range(rounds)]
    return np.concatenate([np.zeros(0, np.int64), *orders])[:count]
