"""Images from arrays, kept as files in the folder of their run, so that workers and the command line find them."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.builtin.arrays import ARRAYS, read_arrays, write_arrays
from lesionbench.errors import ANOTHER_OUT, InputError, OutputError
from lesionbench.experiment.output import DATA, SETTINGS, check_output, try_to_make
from lesionbench.store.digests import key_of
from lesionbench.store.drafts import draft_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.dataset import LoadedDataset


@contextmanager
def kept_images(out: Path, data: LoadedDataset, experiment: Experiment) -> Iterator[Experiment]:
    """The experiment with these images in OUT/data; they are removed again when it is refused before it begins.

    Raises OutputError when the folder holds something else, or the same experiment with other images.
    """
    folder = out / DATA
    experiment = experiment.model_copy(update={"data": folder})
    check_output(out, experiment)
    try_to_make(out)
    same = folder.is_dir() and content_key(read_arrays(folder)) == content_key(data)
    if folder.is_dir() and not same and (out / SETTINGS).exists():
        raise OutputError(f"{out} holds this experiment with other images", ANOTHER_OUT)
    if not same:
        _write(folder, data)
    try:
        yield experiment
    except InputError:
        if not (out / SETTINGS).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # somebody else's files are in it
                out.rmdir()
        raise


def content_key(data: LoadedDataset) -> str:
    """A digest of the images and of all that is known about them."""
    about = [list(data.images.classes), data.groups_known]
    return key_of([*about, *(None if array is None else _digest(array) for array in _arrays(data))])


def _digest(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> list[str]:
    return [str(array.dtype), str(array.shape), hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()]


def _arrays(data: LoadedDataset) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None]:
    return [*(getattr(data.images, name) for name in ARRAYS), data.is_test]


def _write(folder: Path, data: LoadedDataset) -> None:
    """Write the images so that they are there whole or not at all; what an experiment that never began left goes."""
    with draft_beside(folder) as draft:
        write_arrays(draft, data)
        if folder.is_dir():
            shutil.rmtree(folder)
        draft.rename(folder)
