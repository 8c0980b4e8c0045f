"""A dataset from arrays: images, labels and groups as numpy or pandas hold them, checked at once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lesionbench.errors import DatasetError
from lesionbench.pipeline.dataset import LoadedDataset
from lesionbench.pipeline.images import LabelledImages
from lesionbench.plain_text import LONGEST_ID, first_problem
from lesionbench.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from lesionbench.pipeline.images import Images

LARGEST = 2**62  # of whole-number labels, which become int64
SHAPES = "images are uint8 (N, H, W) or (N, H, W, C) with C = 1 (grey) or 3 (color)"


@dataclass(frozen=True, eq=False, repr=False)
class ArrayImages:
    """Labelled images from arrays: a dataset for `lesionbench.run`, `plan` and `audit_split`; made by `images`."""

    data: LoadedDataset
    positive_class: str | None

    def __repr__(self) -> str:
        images = self.data.images
        height, width, channels = images.shape
        counts = ", ".join(f"{(images.labels == label).sum()} {name}" for label, name in enumerate(images.classes))
        groups = f"{len(np.unique(images.groups))} groups" if self.data.groups_known else "groups unknown"
        return f"<{len(images)} images, {height}x{width}x{channels}: {counts}; {groups}>"


def images(
    array: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    is_test: ArrayLike | None = None,
    positive_class: str | int | None = None,
) -> ArrayImages:
    """A dataset of these images; the arguments belong together by position, whatever the index of a pandas Series.

    array: uint8 (N, H, W) or (N, H, W, C), C = 1 or 3. Other dtypes are refused, because their range is not known.
    labels: (N,) the class of each image, as text or whole numbers.
    groups: (N,) the patient or lesion of each image, as text or numbers: never on both sides of a split.
        Without them, every image is its own group, and the leaderboard says that groups are unknown.
    ids: (N,) a unique name for each image; by default its position, "0000" first.
    classes: the names of the classes in their order; whole-number labels are then positions in it.
        By default the distinct labels, sorted.
    is_test: bool (N,), the test images of a division of your own (`split="official"`).
    positive_class: of two classes, the one whose recall is the sensitivity.
    Raises DatasetError that says what is wrong.
    """
    pixels = _pixels(array)
    count = len(pixels)
    names, numbers = _labels(labels, count, classes)
    wrong = first_problem(names)
    if wrong:
        raise DatasetError(f"a class needs a usable name: {wrong}")
    test = None if is_test is None else _is_test(is_test, count)
    positive = None if positive_class is None else str(positive_class)
    if positive is not None and positive not in names:
        raise DatasetError(
            f"positive_class must be one of {', '.join(names)}, not {positive_class!r}{did_you_mean(positive, names)}"
        )
    group_values = np.arange(count) if groups is None else _values("groups", groups, count).to_numpy()
    group_numbers = pd.factorize(group_values, sort=False)[0].astype(np.int64)
    labelled = LabelledImages(pixels, numbers, group_numbers, _ids(ids, count), names)
    return ArrayImages(LoadedDataset(labelled, test, groups_known=groups is not None), positive)


def _pixels(array: ArrayLike) -> Images:
    """The images as uint8 (N, H, W, C), a copy: what the caller changes later changes nothing here."""
    try:
        found = np.asarray(array)
    except ValueError:
        raise DatasetError(f"{SHAPES}, but these have different sizes; resize them to one") from None
    if found.dtype != np.uint8:
        raise DatasetError(f"{SHAPES}, not {found.dtype}{_how_to_convert(found)}")
    if found.ndim == 3:
        found = found[..., None]
    if found.ndim != 4 or found.shape[3] not in (1, 3) or 0 in found.shape:
        raise DatasetError(f"{SHAPES}, not {np.shape(array)}{_how_to_reshape(found)}")
    return np.array(found, np.uint8, order="C")


def _how_to_convert(found: NDArray[Any]) -> str:
    if found.dtype == object:
        return ": the images have different sizes, or are not numbers; resize them to one size"
    if found.dtype.kind == "f" and np.isnan(found).any():
        return "; some pixels are NaN: fill them in, scale all to 0..255, and type: array.round().astype('uint8')"
    if found.dtype.kind in "fb" and found.size and found.min() >= 0 and found.max() <= 1:
        return "; if they lie in 0..1, type: (255 * array).round().astype('uint8')"
    return "; scale them to 0..255 yourself, such as a CT window, and type: array.round().astype('uint8')"


def _how_to_reshape(found: NDArray[Any]) -> str:
    if 0 in found.shape:
        return "; there must be one image at least"
    if found.ndim == 4 and found.shape[1] in (1, 3):
        return "; if the channels stand first, type: array.transpose(0, 2, 3, 1)"
    if found.ndim == 4 and found.shape[3] == 4:
        return "; without the alpha channel: array[..., :3]"
    return "; for one image, type: array[None]" if found.ndim == 2 else ""


def _values(what: str, given: ArrayLike, count: int) -> pd.Series[Any]:
    """The values as a Series, one for each image; raises an error if any is missing."""
    if isinstance(given, str) or not np.iterable(given) or np.ndim(given) != 1:
        shape = f"{type(given).__name__} {np.shape(given)}" if hasattr(given, "shape") else f"{given!r:.80}"
        raise DatasetError(
            f"{what} must be a list, a Series or an array (N,), not {shape}{_how_to_flatten(what, given)}"
        )
    found = pd.Series(given if hasattr(given, "dtype") else list(given)).reset_index(drop=True)
    if len(found) != count:
        raise DatasetError(f"{what} must be one for each of the {count} images, but there are {len(found)}")
    if not all(isinstance(value, Hashable) for value in found):
        raise DatasetError(f"{what} are text or numbers, not {given!r:.80}")
    missing = np.flatnonzero(found.isna() | (found.astype(str) == ""))
    if len(missing):
        raise DatasetError(
            f"{what} must be given for every image, but {len(missing)} of {count} are missing (NaN, None or empty), "
            f"the first at position {missing[0]}; leave these images out or fill them in"
        )
    return found


def _how_to_flatten(what: str, given: ArrayLike) -> str:
    """What to type for a column of values or, if they are labels, for one-hot rows."""
    shape = np.shape(given) if hasattr(given, "shape") else ()
    if len(shape) != 2:
        return ""
    if shape[1] == 1:
        return f"; type: np.ravel({what})"
    return "; if they are one-hot, type: np.argmax(labels, axis=1)" if what == "labels" else ""


def _labels(given: ArrayLike, count: int, classes: Sequence[str] | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names of the classes, and for each image the position of its class."""
    found = _values("labels", given, count)
    whole = _whole_numbers(found)
    if classes is None:
        names = sorted(set(found.astype(str))) if whole is None else [str(value) for value in sorted(set(whole))]
        texts = found.astype(str) if whole is None else whole.astype(str)
        return tuple(names), pd.Index(names).get_indexer(texts).astype(np.int64)
    names = [] if isinstance(classes, str) or not np.iterable(classes) else [str(name) for name in classes]
    if not names or len(set(names)) != len(names):
        raise DatasetError(
            f"classes are a list of different names, such as ['benign', 'malignant'], not {classes!r:.80}"
        )
    numbers = pd.Index(names).get_indexer(found.astype(str)) if whole is None else whole
    wrong = (numbers < 0) | (numbers >= len(names))
    if wrong.any():
        rule = f"labels must be among the classes {', '.join(names)}"
        rule = rule if whole is None else f"labels that are numbers are positions in classes, 0 to {len(names) - 1}"
        raise DatasetError(f"{rule}, but {found[wrong].iloc[0]} is not (at position {np.flatnonzero(wrong)[0]})")
    absent = [name for label, name in enumerate(names) if label not in set(numbers.tolist())]
    if absent:
        raise DatasetError(f"every class needs images, but no label is {absent[0]!r}; leave it out of classes")
    return tuple(names), numbers.astype(np.int64)


def _whole_numbers(found: pd.Series[Any]) -> NDArray[np.int64] | None:
    """The labels as int64 when they are numbers, None when they are text; raises DatasetError for 0.5."""
    if not pd.api.types.is_numeric_dtype(found) or pd.api.types.is_bool_dtype(found) or np.iscomplexobj(found):
        return None
    values = found.to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values) | (np.abs(values) > LARGEST) | (values != np.round(values)))
    if len(wrong):
        raise DatasetError(f"labels are text or whole numbers, not {values[wrong[0]]} (at position {wrong[0]})")
    whole: NDArray[np.int64] = values.astype(np.int64)
    return whole


def _ids(given: ArrayLike | None, count: int) -> NDArray[np.str_]:
    if given is None:
        return np.array([f"{position:04}" for position in range(count)])
    found = _values("ids", given, count).astype(str)
    twice = found[found.duplicated()]
    if len(twice):
        raise DatasetError(f"ids must be unique, but {twice.iloc[0]!r} stands twice")
    wrong = first_problem(found, LONGEST_ID)
    if wrong:
        raise DatasetError(f"an image needs a usable id: {wrong}")
    return np.array(found.tolist(), dtype=np.str_)


def _is_test(given: ArrayLike, count: int) -> NDArray[np.bool_]:
    found = _values("is_test", given, count)
    wrong = [value for value in found if not isinstance(value, bool | np.bool_)]
    if wrong:
        how = "; for 0 and 1, type: np.array(is_test, bool)" if set(found) <= {0, 1} else ""
        raise DatasetError(f"is_test is True or False for each image, not {wrong[0]}{how}")
    test: NDArray[np.bool_] = found.to_numpy(dtype=np.bool_)
    if test.all() or not test.any():
        raise DatasetError(
            f"is_test must leave images on both sides, but {'every' if test.all() else 'no'} image is a test image"
        )
    return test
