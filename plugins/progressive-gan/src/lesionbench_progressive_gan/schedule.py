"""When the networks grow, counted in real images shown to them (Karras et al. 2017, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lesionbench_progressive_gan import ProgressiveGan

FIRST = 4  # pixels of level 0


def resolution(level: int) -> int:
    """Height and width of a level's images: 4, 8, 16, ... pixels."""
    return FIRST << level


def level_of(size: int) -> int:
    """The level whose images have this size: 0 for 4 pixels."""
    return (size // FIRST).bit_length() - 1


class Moment(NamedTuple):
    """The state of growth: the level in training, and how far it has faded in, 0 to 1."""

    level: int
    fade: float


@dataclass(frozen=True)
class Phase:
    """A phase of training: its level, whether the level fades in, and the number of images shown."""

    level: int
    fades: bool
    images: float


@dataclass(frozen=True)
class Schedule:
    """The phases: level 0 stable, then each further level fading in and stable; one factor scales all of them."""

    phases: tuple[Phase, ...]
    batch_size: int
    steps: int

    @classmethod
    def of(cls, settings: ProgressiveGan) -> Schedule:
        """The schedule of these settings; `steps`, if given, replaces `scale`."""
        last = level_of(settings.size)
        whole = [Phase(0, False, settings.stable_images)]
        for level in range(1, last + 1):
            stable = settings.final_images if level == last else settings.stable_images
            whole += [Phase(level, True, settings.fade_images), Phase(level, False, stable)]
        images = sum(phase.images for phase in whole)
        steps = settings.steps or ceil(round(images * settings.scale / settings.batch_size, 6))
        scale = steps * settings.batch_size / images if settings.steps else settings.scale
        phases = tuple(Phase(phase.level, phase.fades, phase.images * scale) for phase in whole)
        return cls(phases, settings.batch_size, steps)

    @cached_property
    def ends(self) -> tuple[float, ...]:
        """The number of images shown by the end of each phase."""
        return tuple(accumulate(phase.images for phase in self.phases))

    def at(self, shown: float) -> Moment:
        """The level and its fade-in after `shown` images."""
        for phase, end in zip(self.phases, self.ends, strict=True):
            if shown < end:
                return Moment(phase.level, 1 - (end - shown) / phase.images if phase.fades else 1.0)
        return Moment(self.phases[-1].level, 1.0)

    def of_step(self, step: int) -> Moment:
        """The moment of a step, counted from 1, before its own images are shown."""
        return self.at((step - 1) * self.batch_size)

    def picture_steps(self) -> list[int]:
        """The steps after which to save a picture: the last of each phase, and halfway through the last phase."""
        halves = [*self.ends[:-1], self.ends[-1] - self.phases[-1].images / 2]
        return sorted({min(self.steps, ceil(round(end / self.batch_size, 6))) for end in halves} | {self.steps})
