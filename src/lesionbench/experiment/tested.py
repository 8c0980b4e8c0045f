"""How many images and groups are tested, which is what the power of a comparison depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import LabelledImages

Count = tuple[int, int]  # images, and the groups they are of


def tested(images: LabelledImages, parts: NDArray[np.str_]) -> tuple[Count, ...]:
    """The test images of all folds and their groups: of each class, then of all; parts (folds, N)."""
    of_test = (parts == "test").any(axis=0)
    chosen = [of_test & (images.labels == label) for label in range(len(images.classes))]
    return tuple((int(there.sum()), len(np.unique(images.groups[there]))) for there in (*chosen, of_test))
