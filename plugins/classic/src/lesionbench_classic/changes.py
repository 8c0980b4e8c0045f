"""The paper's set of copies, N = N_rot (1 + N_flip + N_trans + N_scale): drawing from it, and changing an image so.

Frid-Adar et al. 2018, III-A. All numbers of a batch are drawn at once, and every image goes through one affine function
of albumentations. Its transform objects give the same images, but most of their time goes into checks around that
function: of 340 microseconds for a colour image of 64 pixels, 110 are the function.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise the import below looks for a newer version on the network

import cv2
import numpy as np
from albumentations.augmentations.geometric.functional import center, warp_affine_with_value_extension

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench_classic import Classic

# What may follow a rotation, and how many copies of each kind the paper keeps of one rotation.
PLAIN, FLIPPED, SHIFTED, ZOOMED = range(4)
COPIES = (1, 3, 7, 5)

# The codes of `cv2.flip`. The paper counts three flips and names two; we take the third to be both at once.
NO_FLIP, LEFT_RIGHT, UP_DOWN, BOTH = 2, 1, 0, -1


@dataclass(frozen=True, eq=False)
class Changes:
    """What is done to n images: each is rotated about its centre, and then flipped, shifted, zoomed or left so.

    angles: float64 (n,), degrees, counterclockwise.  zooms: float64 (n,), 1 is none.
    right, down: float64 (n,), whole pixels.  flips: int64 (n,), as `cv2.flip` calls them, or NO_FLIP.
    """

    angles: NDArray[np.float64]
    zooms: NDArray[np.float64]
    right: NDArray[np.float64]
    down: NDArray[np.float64]
    flips: NDArray[np.int64]

    @classmethod
    def draw(cls, settings: Classic, shift: int, count: int, stream: np.random.Generator) -> Changes:
        """`count` changes; number i is the same for every larger count.

        After the rotation comes nothing, a flip, a shift by at most `shift` pixels along each axis, or a zoom, in
        proportions 1 : 3 : 7 : 5. If the settings switch one off, the others keep their proportions.
        """
        kind, angle, flip, right, down, zoom = stream.random((count, 6)).T  # drawn image by image
        low, high = settings.scale_min, settings.scale_max
        kinds = _kinds(kind, (True, settings.flips, shift > 0, (low, high) != (1, 1)))
        flips = np.array([LEFT_RIGHT, UP_DOWN, BOTH])[(flip * 3).astype(np.int64)]
        moved = kinds == SHIFTED
        return cls(
            angles=angle * settings.rotation,
            zooms=np.where(kinds == ZOOMED, low + zoom * (high - low), 1.0),
            right=moved * (np.floor(right * (2 * shift + 1)) - shift),
            down=moved * (np.floor(down * (2 * shift + 1)) - shift),
            flips=np.where(kinds == FLIPPED, flips, NO_FLIP),
        )

    def matrices(self, height: int, width: int) -> NDArray[np.float64]:
        """Where a pixel (x, y, 1) goes before the flip: float64 (n, 2, 3).

        The matrix that albumentations' `create_affine_transformation_matrix` makes of the same numbers.
        """
        x, y = center((height, width))
        along, across = self.zooms * np.cos(np.deg2rad(self.angles)), self.zooms * np.sin(np.deg2rad(self.angles))
        rows = (
            (along, across, x + self.right - along * x - across * y),
            (-across, along, y + self.down + across * x - along * y),
        )
        return np.moveaxis(np.array(rows), 2, 0).copy()


def changed(image: NDArray[np.uint8], matrix: NDArray[np.float64], flip: int) -> NDArray[np.uint8]:
    """The image moved by the matrix and then flipped: uint8 (H, W, C).

    Borders are reflected: the paper cuts its regions from whole slices, but we only have the region, and black corners
    would be a feature of their own (dark corners are more common among malignant skin lesions). Interpolation is cubic,
    like the paper's resizing: it keeps more fine detail than linear. The picture is flipped, because a flip inside the
    matrix rounds otherwise: 9 of 10 pictures would differ by a grey level somewhere.
    """
    height, width = image.shape[:2]
    border = cv2.BORDER_REFLECT  # not _101, which hangs if a side has one pixel
    moved = warp_affine_with_value_extension(image, matrix, (width, height), cv2.INTER_CUBIC, border, 0)
    if flip != NO_FLIP:
        moved = cv2.flip(moved, flip)
    whole: NDArray[np.uint8] = moved.reshape(image.shape)  # OpenCV drops a single channel
    return whole


def _kinds(uniform: NDArray[np.float64], on: tuple[bool, ...]) -> NDArray[np.int64]:
    """What follows each rotation, int64 (n,), of the kinds that are on; from numbers that are uniform in [0, 1)."""
    edges = np.cumsum(np.array(COPIES) * on)
    return np.searchsorted(edges / edges[-1], uniform, side="right")
