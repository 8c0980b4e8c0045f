"""The paper's set of copies, N = N_rot (1 + N_flip + N_trans + N_scale), as one albumentations transform.

Frid-Adar et al. 2018, III-A. Only this file builds albumentations transforms.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise the import below looks for a newer version on the network

import albumentations as A  # noqa: N812  # everybody calls it A
import cv2

if TYPE_CHECKING:
    from lesionbench_classic import Classic

# The copies of one rotation: the rotation alone, flips, translations, scales.
N_PLAIN, N_FLIP, N_TRANSLATION, N_SCALE = 1, 3, 7, 5
N_ALL = N_PLAIN + N_FLIP + N_TRANSLATION + N_SCALE


def copies(settings: Classic, height: int, width: int) -> A.OneOf:
    """The random transform: a rotation, then nothing, a flip, a translation or a scale, in proportions 1 : 3 : 7 : 5.

    If the settings switch an effect off, the others keep their proportions.
    """
    shift = round(settings.translation * min(height, width))  # whole pixels
    zoom = (settings.scale_min, settings.scale_max)
    parts = [_turned(settings, N_PLAIN)]
    if settings.flips:
        parts.append(_flipped(settings))
    if shift:
        shifts = {"x": (-shift, shift), "y": (-shift, shift)}
        parts.append(_turned(settings, N_TRANSLATION, translate_px=shifts))
    if zoom != (1, 1):
        parts.append(_turned(settings, N_SCALE, scale=zoom, keep_ratio=True))
    return A.OneOf(parts, p=1)


def _turned(settings: Classic, weight: int, **further: Any) -> A.Affine:
    """A rotation about the centre, combined with a shift or a zoom so that pixels are interpolated only once.

    Borders are reflected: the paper cuts its regions from whole slices, but we only have the region, and black corners
    would be a feature of their own (dark corners are more common among malignant skin lesions). Interpolation is cubic,
    like the paper's resizing: it keeps more fine detail than linear.
    """
    return A.Affine(
        rotate=(0, settings.rotation),
        interpolation=cv2.INTER_CUBIC,
        border_mode=cv2.BORDER_REFLECT,  # not _101, which hangs if a side has one pixel
        p=weight / N_ALL,
        **further,
    )


def _flipped(settings: Classic) -> A.Sequential:
    """A rotation, then one of three flips; the paper names two, and we take the third to be both at once."""
    both = A.Sequential([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=1)
    flip = A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), both], p=1)
    return A.Sequential([_turned(settings, N_ALL), flip], p=N_FLIP / N_ALL)
