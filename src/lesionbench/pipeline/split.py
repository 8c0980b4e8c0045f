"""Splits: the division of a dataset into train, validation and test, group by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lesionbench.errors import SplitError, Try

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.pipeline.dataset import LoadedDataset
    from lesionbench.pipeline.images import Groups, LabelledImages

SplitMode = Literal["official"] | int
DEFAULT_FOLDS = 5


def split_mode(wanted: SplitMode | None, data: LoadedDataset) -> SplitMode:
    """How a dataset is divided: as `wanted`; if that is None, by its official split, or into folds if it has none."""
    if wanted is not None:
        return wanted
    return "official" if data.is_test is not None else DEFAULT_FOLDS


@dataclass(frozen=True, eq=False)
class Split:
    """One division into train, validation and test; refuses to be constructed with a group on two sides.

    declared_shared: the groups that a published division is known to have in test as well as in train or validation.
    Raises SplitError if any other group is shared with test, or if train and validation share a group.
    """

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    declared_shared: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if not len(getattr(self, name)):
                raise SplitError(f"the {name} part of a split must hold images, but it is empty")
        _refuse(shared_groups(self.train.groups, self.validation.groups), "train and validation")
        seen = np.concatenate([self.train.groups, self.validation.groups])
        _refuse(shared_groups(seen, self.test.groups) - self.declared_shared, "train and test")


def _refuse(shared: frozenset[int], where: str) -> None:
    if shared:
        raise SplitError(
            f"a group may not stand on both sides of a split, but {len(shared)} stand in both {where} "
            f"(such as group {min(shared)})",
            Try("{split} makes folds that keep groups apart", split=5),
        )


def hold_back(images: LabelledImages, per_class: int, seed: int) -> LabelledImages:
    """The images without `per_class` images of every class; larger hold-outs contain the smaller ones.

    Raises SplitError if a class would have no image left.
    """
    kept = np.ones(len(images), dtype=bool)
    for label, name in enumerate(images.classes):
        own = np.flatnonzero(images.labels == label)
        if len(own) <= per_class:
            raise SplitError(
                f"a class keeps at least one training image, but {name!r} has {len(own)} and real-holdout holds "
                f"{per_class} back",
                Try("write {augmenters} or fewer", augmenters=f"real-holdout@{max(1, len(own) // 2)}"),
            )
        kept[np.random.default_rng([seed, label]).permutation(own)[:per_class]] = False
    return images.take(kept)


def shared_groups(one: Groups, other: Groups) -> frozenset[int]:
    """The groups that occur in both arrays."""
    return frozenset(np.intersect1d(one, other).tolist())


def group_status(data: LoadedDataset, mode: SplitMode) -> str:
    """How the split treats groups: `apart`, `shared` (a published leak, kept on purpose) or `waived` (unknown)."""
    if not data.groups_known:
        return "waived"
    if mode == "official" and data.is_test is not None:
        groups = data.images.groups
        return "shared" if shared_groups(groups[~data.is_test], groups[data.is_test]) else "apart"
    return "apart"


def divide(data: LoadedDataset, mode: SplitMode, validation: float, seed: int) -> list[NDArray[np.str_]]:
    """The part of every image in every fold: `train`, `validation` or `test`, shape (N,) for each fold.

    mode: `official` uses the dataset's own test images; a number K makes K group-wise, class-balanced folds.
    validation: the share of the images outside test that become validation images; whole groups, class-balanced.
    Raises SplitError if the dataset has no official division, or too few groups.
    """
    images = data.images
    if mode == "official":
        if data.is_test is None:
            raise no_official_split()
        _every_class(images, np.flatnonzero(data.is_test), "test")
        _every_class(images, np.flatnonzero(~data.is_test), "train")
        tests = [np.flatnonzero(data.is_test)]
    else:
        tests = _group_folds(images, mode, seed)
    parts = []
    for test in tests:
        part = np.full(len(images), "train", dtype="<U10")
        part[test] = "test"
        rest = np.flatnonzero(part == "train")
        part[_validation_positions(images, rest, validation, seed)] = "validation"
        parts.append(part)
    return parts


def no_official_split() -> SplitError:
    """The error for a dataset without an official split."""
    return SplitError("this dataset has no official split", Try("{split} makes five group-wise folds", split=5))


def _every_class(images: LabelledImages, chosen: NDArray[np.int64], part: str) -> None:
    for label, name in enumerate(images.classes):
        if not (images.labels[chosen] == label).any():
            raise SplitError(
                f"the {part} part of the official split must hold every class, but it has no image of class {name!r}",
                Try("{split} makes folds that do", split=5),
            )


def _validation_positions(
    images: LabelledImages, among: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.int64]:
    """Positions of the validation images: one of K equal parts, with 1 / K as near to `share` as possible."""
    parts = min(range(2, 21), key=lambda number: abs(1 / number - share))
    _enough_groups(images, among, parts, Try("choose a larger {validation}"))
    return _folds(images, among, parts, seed)[0]


def _group_folds(images: LabelledImages, folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Positions of the test images of every fold: disjoint, whole groups, every class in each fold."""
    everything = np.arange(len(images))
    _enough_groups(images, everything, folds, Try("choose a smaller {split}"))
    chosen = _folds(images, everything, folds, seed)
    for fold in chosen:
        if len(np.unique(images.labels[fold])) < len(images.classes):
            raise SplitError(
                f"no {folds} group-wise folds with every class in each were found", Try("choose a smaller {split}")
            )
    return chosen


def _enough_groups(images: LabelledImages, among: NDArray[np.int64], parts: int, instead: Try) -> None:
    labels, groups = images.labels[among], images.groups[among]
    for label, name in enumerate(images.classes):
        count = len(np.unique(groups[labels == label]))
        if count < parts:
            raise SplitError(
                f"{parts} group-wise parts need at least {parts} groups of every class, but {name!r} has {count}",
                instead,
            )


def _folds(images: LabelledImages, among: NDArray[np.int64], parts: int, seed: int) -> list[NDArray[np.int64]]:
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import, so only where folds are made

    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed % 2**32)
    divided = splitter.split(np.zeros(len(among)), images.labels[among], images.groups[among])
    return [among[test] for _, test in divided]


def splits(data: LoadedDataset, parts: list[NDArray[np.str_]]) -> list[Split]:
    """The split of every fold, from the parts that `divide` returned."""
    images = data.images
    made = []
    for part in parts:
        train, validation, test = (images.take(part == name) for name in ("train", "validation", "test"))
        published = (
            data.keep_shared_groups and data.is_test is not None and np.array_equal(part == "test", data.is_test)
        )
        leak = shared_groups(images.groups[part != "test"], test.groups) if published else frozenset()
        made.append(Split(train, validation, test, leak))
    return made
