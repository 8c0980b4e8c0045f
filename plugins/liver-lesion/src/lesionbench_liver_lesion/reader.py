"""Reading the `liver-lesion` dataset: from the listing of image files to labelled grey images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lesionbench import DatasetError, LabelledImages, LoadedDataset, UnreadableImage
from lesionbench_liver_lesion.listing import list_rois, refuse, usable_listing
from lesionbench_liver_lesion.pixels import Kind, Pixels, Values, read_pixels, resized

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench_liver_lesion import LiverLesion
    from lesionbench_liver_lesion.listing import Roi

WIDEST = 65535
DARK = 4095  # 16-bit files without larger values hold 12-bit data and look nearly black


def load(settings: LiverLesion, root: Path | None) -> LoadedDataset:
    """The images in the order of their ids: uint8 (N, size, size, 1), patients as groups; raises DatasetError."""
    listing = usable_listing(settings, root)
    rois, classes = listing.rois, listing.classes
    pixels, problems = _read(rois)
    refuse(problems or kind_problems(settings, rois, pixels), settings, root)
    known = all(roi.patient is not None for roi in rois)
    names = np.array([roi.patient if known else roi.id for roi in rois])
    images = LabelledImages(
        np.stack([resized(_grey(settings, one), settings.size) for one in pixels]),
        np.array([classes.index(roi.label) for roi in rois], np.int64),
        np.unique(names, return_inverse=True)[1].astype(np.int64),
        np.array([roi.id for roi in rois]),
        classes,
    )
    notes = (*listing.notes, *_kind_notes(settings, pixels[0].kind))
    return LoadedDataset(images, groups_known=known, notes=notes)


def problems(settings: LiverLesion, root: Path | None) -> list[str]:
    """Everything that is wrong with the folders, the patients and the image files, one line each."""
    try:
        listing = list_rois(settings, root)
    except DatasetError as error:
        return [str(error)]
    pixels, bad = _read(listing.rois)
    return [*listing.problems, *(bad or kind_problems(settings, listing.rois, pixels))]


def _read(rois: Sequence[Roi]) -> tuple[list[Pixels], list[str]]:
    """The pixels of all readable files, and a line for each of the others."""
    pixels, bad = [], []
    for roi in rois:
        try:
            pixels.append(read_pixels(roi.path))
        except UnreadableImage as error:
            bad.append(str(error))
    return pixels, bad


def kind_problems(settings: LiverLesion, rois: Sequence[Roi], pixels: Sequence[Pixels]) -> list[str]:
    """What is wrong with the values of the whole set: all images must be convertible to grey by one rule."""
    first = {one.kind: roi.path for roi, one in reversed(list(zip(rois, pixels, strict=True)))}
    if len(first) > 1:
        files = " and ".join(f"{kind.value} ({path})" for kind, path in first.items())
        return [f"all images of a set must hold the same kind of values, but there are {files}; convert them alike"]
    least, most = (
        min((one.values.min() for one in pixels), default=0),
        max((one.values.max() for one in pixels), default=0),
    )
    if Kind.HU in first and least >= 0 and most <= 1:
        return [f"{first[Kind.HU]}: arrays of float must be HU, but all values lie in 0..1; save them as uint8, 0..255"]
    if Kind.WIDE in first and settings.hu_offset is None and most <= DARK:
        return [
            f"{first[Kind.WIDE]}: 16-bit images are shown from 0 to {WIDEST}, but none here has more than {most:.0f}, "
            "which is nearly black; when value - 1024 is HU, say --dataset 'liver-lesion[hu_offset=1024]'"
        ]
    return []


def _grey(settings: LiverLesion, pixels: Pixels) -> Values:
    """The values as grey from 0 to 255, float32; the rule is the same for every image."""
    if pixels.kind is Kind.GREY:
        return pixels.values
    if pixels.kind is Kind.WIDE and settings.hu_offset is None:
        return pixels.values * np.float32(255 / WIDEST)
    hu = pixels.values - (settings.hu_offset or 0 if pixels.kind is Kind.WIDE else 0)
    grey: Values = np.clip(255 * ((hu - settings.window_level) / settings.window_width + 0.5), 0, 255).astype(
        np.float32
    )
    return grey


def _kind_notes(settings: LiverLesion, kind: Kind) -> list[str]:
    if kind is Kind.GREY:
        return []
    if kind is Kind.WIDE and settings.hu_offset is None:
        return [f"16-bit grey values 0 to {WIDEST} are shown as 0 to 255, in every image alike"]
    low, high = (settings.window_level + sign * settings.window_width / 2 for sign in (-1, 1))
    return [f"HU are shown in a window of {low:g} to {high:g}, in every image alike"]
