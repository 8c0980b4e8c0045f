"""An arm: what is done to the training images, and which classifier learns from them.

An arm is one row of the leaderboard: a cell without fold and repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lesionbench.pipeline.augmenter import BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping

ARM_COLUMNS = (
    "dataset",
    "split",
    "groups",
    "augmenter",
    "synthetic_per_class",
    "on_the_fly",
    "classifier",
    "positive_class",
)


@dataclass(frozen=True)
class Arm:
    """What is compared: an augmenter at a dose, what changes the batches, and the classifier."""

    augmenter: str  # as a chain is written; the dose of its last link is synthetic_per_class
    synthetic_per_class: int
    on_the_fly: str
    classifier: str

    @property
    def changes_batches(self) -> bool:
        """Whether an augmenter changes every training batch."""
        return self.on_the_fly != BASELINE

    @property
    def name(self) -> str:
        """AUGMENTER@DOSE, or the baseline's bare name, and what changes the batches; the classifier is not in it."""
        dose = f"@{self.synthetic_per_class}" if self.synthetic_per_class else ""
        return f"{self.augmenter}{dose}" + (f" on-the-fly {self.on_the_fly}" if self.changes_batches else "")


@dataclass(frozen=True, kw_only=True)
class ArmKey(Arm):
    """An arm, and the data that it is tested on: what identifies a row of a table, the ARM_COLUMNS."""

    dataset: str
    split: str
    groups: str
    positive_class: str  # `each` with three or more classes

    def row(self) -> dict[str, object]:
        """The ARM_COLUMNS of a table's row."""
        return {column: getattr(self, column) for column in ARM_COLUMNS}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ArmKey:
        """The arm of a table's row, whose dose may be a number or its text."""
        fields = {column: row[column] for column in ARM_COLUMNS}
        return cls(**fields | {"synthetic_per_class": int(fields["synthetic_per_class"])})


@dataclass(frozen=True)
class Role:
    """What an arm is for in a comparison; it follows from the augmenters of its chain."""

    is_control: bool = False  # shows only what an augmenter must beat: the last link of the chain decides
    makes_images: bool = True  # at least one link of the chain draws synthetic images
    holds_back: bool = False  # the arm learns from fewer real images than the baseline does

    @property
    def is_baseline(self) -> bool:
        """Whether the arm learns from all real images and no others."""
        return not (self.makes_images or self.holds_back)

    @property
    def family(self) -> str:
        """`control` or `augmenter`: the arms among which p-values are adjusted."""
        return "control" if self.is_control else "augmenter"
