"""Labelled images: the one form in which images are passed between the parts.

uint8 NHWC fixes the value range once and for all, is what PNG files store, and can be hashed and compared exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionbench.errors import ContractError

Images = NDArray[np.uint8]  # (N, H, W, C), C = 1 or 3
Labels = NDArray[np.int64]  # (N,), 0..K-1
Groups = NDArray[np.int64]  # (N,)
Scores = NDArray[np.float64]  # (N, K), rows sum to 1


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """N images, each with a label, a group and an id; checked when constructed, read-only afterwards.

    images: uint8 (N, H, W, C), C = 1 or 3.  labels: int64 (N,), an index into `classes`.
    groups: int64 (N,), patients or lesions: images of one group stay on one side of a split.  ids: (N,), unique.
    Raises ContractError if a shape, a dtype or a value range is wrong.
    """

    images: Images
    labels: Labels
    groups: Groups
    ids: NDArray[np.str_]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_images(self.images)
        count = len(self.images)
        for field in ("labels", "groups"):
            array = getattr(self, field)
            if array.dtype != np.int64 or array.shape != (count,):
                raise ContractError(f"{field} must be int64 ({count},), not {array.dtype} {array.shape}")
        if self.ids.dtype.kind != "U" or self.ids.shape != (count,):
            raise ContractError(f"ids must be text ({count},), not {self.ids.dtype} {self.ids.shape}")
        if len(np.unique(self.ids)) != count:
            raise ContractError("ids must be unique, but some occur twice")
        if count and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise ContractError(
                f"labels must lie in 0..{len(self.classes) - 1}, not {sorted(set(self.labels.tolist()))}"
            )
        for field in ("images", "labels", "groups", "ids"):
            view = getattr(self, field).view()
            view.flags.writeable = False
            object.__setattr__(self, field, view)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def take(self, chosen: NDArray[Any]) -> LabelledImages:
        """The images at these positions, or where this mask is true."""
        return LabelledImages(
            self.images[chosen], self.labels[chosen], self.groups[chosen], self.ids[chosen], self.classes
        )

    def of_class(self, label: int) -> Images:
        """The images of one class: uint8 (n, H, W, C)."""
        chosen: Images = self.images[self.labels == label]
        return chosen


def check_images(images: Images) -> None:
    """Raise ContractError unless the images are uint8 (N, H, W, C) with C = 1 or 3."""
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[3] not in (1, 3)
    ):
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ContractError(f"images must be uint8 (N, H, W, C) with C = 1 or 3, not {found}")


def image_grid(rows: list[Images], gap: int = 2) -> Images:
    """One picture with a row of images for each entry of `rows`: uint8 (1, H', W', C), white gaps between."""
    height, width, channels = rows[0].shape[1:]
    columns = max(len(row) for row in rows)
    shape = (1, len(rows) * (height + gap) + gap, columns * (width + gap) + gap, channels)
    picture = np.full(shape, 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = gap + r * (height + gap), gap + c * (width + gap)
            picture[0, top : top + height, left : left + width] = image
    return picture
