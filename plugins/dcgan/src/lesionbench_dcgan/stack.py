"""The pairs of all classes as one pair of stacked networks, during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lesionbench.torchkit.gan import Players
from lesionbench.torchkit.optimizers import Adam
from lesionbench.torchkit.stacking import Stacked
from lesionbench_dcgan.pair import play

if TYPE_CHECKING:
    from lesionbench import Images
    from lesionbench.torchkit.gan import Curves, History
    from lesionbench.torchkit.loop import Losses
    from lesionbench.torchkit.resuming import Owned
    from lesionbench_dcgan import Dcgan
    from lesionbench_dcgan.pair import Pair


LOSSES = ("generator_loss", "discriminator_loss")


class Stack:
    """The pairs of all classes, which learn at once; each from its own batches and noise, as it would alone."""

    def __init__(self, settings: Dcgan, pairs: dict[str, Pair]) -> None:
        """pairs: by the name of their class."""
        self.pairs = pairs
        generator = Stacked([pair.generator for pair in pairs.values()])
        discriminator = Stacked([pair.discriminator.main[:-1] for pair in pairs.values()])
        rate, betas = settings.learning_rate, (settings.beta1, settings.beta2)
        optimizers = [Adam(network.parameters(), rate, betas) for network in (generator, discriminator)]
        self.players = Players(generator, discriminator, *optimizers)

    def step(self) -> Losses:
        """Update all discriminators and then all generators, each on its own batch; returns the losses."""
        pairs = self.pairs.values()
        real, noise = map(torch.stack, zip(*(pair.next_batch() for pair in pairs), strict=True))
        losses = play(self.players, self._logits, real, noise, next(iter(pairs)).context)
        return {_named(loss, name): losses[loss][number] for loss in losses for number, name in enumerate(self.pairs)}

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of every discriminator for its images (classes, B, C, size, size): (classes, B)."""
        scores: torch.Tensor = self.players.discriminator(images)
        return scores.flatten(1)

    def sketches(self) -> list[Images]:
        """For each class, images from the same noise at every call."""
        return [pair.sketch() for pair in self.pairs.values()]

    def owned(self) -> Owned:
        """Everything that a step changes."""
        owned: dict[str, Any] = {"players": self.players}
        for number, pair in enumerate(self.pairs.values()):
            owned |= {f"{name} {number}": source for name, source in pair.sources().items()}
        return owned


def curves_of(name: str, history: History) -> Curves:
    """The losses of one class in every step."""
    return {loss: history.curves[_named(loss, name)] for loss in LOSSES}


def _named(loss: str, name: str) -> str:
    """The name of one class's loss."""
    return f"{loss} of {name}"
