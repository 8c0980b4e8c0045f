"""The grid: every arm and every cell of an experiment, and the synthetic pools they need."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.experiment.settings import BASELINE

if TYPE_CHECKING:
    from lesionbench.experiment.settings import Experiment


@dataclass(frozen=True)
class Arm:
    """One leaderboard row: a cell without fold and seed."""

    augmenter: str
    synthetic_per_class: int
    classifier: str


@dataclass(frozen=True)
class PoolJob:
    """One augmenter's fit on one fold with one seed, and the synthetic images drawn from it."""

    augmenter: str
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{slug(self.augmenter)}_fold{self.fold}_seed{self.seed}"


@dataclass(frozen=True)
class Cell:
    """One point of the grid."""

    arm: Arm
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """A name for files."""
        arm = self.arm
        dose = f"-{arm.synthetic_per_class}" if arm.augmenter != BASELINE else ""
        return f"{slug(arm.augmenter)}{dose}_{slug(arm.classifier)}_fold{self.fold}_seed{self.seed}"

    @property
    def pool(self) -> PoolJob | None:
        """The pool this cell draws on; the baseline has none."""
        arm = self.arm
        return PoolJob(arm.augmenter, self.fold, self.seed) if arm.augmenter != BASELINE else None


def slug(spec: str) -> str:
    """A plugin's text as part of a file name: `dcgan[steps=5]` becomes `dcgan-1f3a9c`."""
    if re.fullmatch(r"[a-z0-9_-]+", spec):
        return spec
    return f"{spec.partition('[')[0]}-{hashlib.sha256(spec.encode()).hexdigest()[:6]}"


def arms(experiment: Experiment) -> list[Arm]:
    """The baseline first, then every augmenter at every dose; dose 0 is the baseline itself."""
    pairs = [(BASELINE, 0)]
    pairs += [(augmenter, dose) for augmenter in experiment.augmenters for dose in experiment.synthetic if dose]
    return [Arm(augmenter, dose, classifier) for classifier in experiment.classifiers for augmenter, dose in pairs]


def cells(experiment: Experiment, folds: int) -> list[Cell]:
    """Every arm on every fold with every seed, seed by seed."""
    seeds = range(1, experiment.seeds + 1)
    return [Cell(arm, fold, seed) for seed in seeds for fold in range(folds) for arm in arms(experiment)]
