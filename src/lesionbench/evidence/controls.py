"""Which arms are controls: what an augmentation must beat, judged apart from it."""

from __future__ import annotations

HOLDOUT = "real-holdout"
CONTROLS = ("oversample", "noise", HOLDOUT, "shuffled:")


def is_control(augmenter: str) -> bool:
    """Whether an arm only shows what an augmenter must beat, by its name; a chain is what its last link is."""
    return augmenter.rpartition("+")[2].startswith(CONTROLS)
