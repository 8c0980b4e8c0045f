"""Datasets: settings that load labelled images."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from lesionbench.errors import ContractError, DatasetError, InputError
from lesionbench.pipeline.plugin import Plugin
from lesionbench.plain_text import LONGEST_ID, first_problem, visible

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lesionbench.pipeline.images import LabelledImages


@dataclass(frozen=True, eq=False)
class LoadedDataset:
    """What `Dataset.load` returns: the images, and what is known about how to divide them.

    is_test: bool (N,), the dataset's own division, or None if it has none.
    groups_known: False if it is unknown which images show one patient or lesion (each image is then its own group).
    keep_shared_groups: True if the dataset's own division is to be used as published although some groups are on both
        sides; the leaderboard then says `shared`.
    notes: sentences that the user must see.
    Raises ContractError if a class or an image has a name that cannot stand in a table.
    """

    images: LabelledImages
    is_test: NDArray[np.bool_] | None = None
    groups_known: bool = True
    keep_shared_groups: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every name; LabelledImages are cut again and again, but a dataset is loaded once."""
        classes = self.images.classes
        wrong = first_problem(classes)
        if wrong:
            raise ContractError(f"a class needs a usable name: {wrong}")
        if len(set(classes)) < len(classes):
            raise ContractError(f"classes need different names, not {', '.join(classes):.200}")
        wrong = first_problem(self.images.ids.tolist(), LONGEST_ID)
        if wrong:
            raise ContractError(f"an image needs a usable id: {wrong}")
        object.__setattr__(self, "notes", tuple(visible(str(note)) for note in self.notes))


class Dataset(Plugin):
    """Settings that load labelled images."""

    needs_data: ClassVar[bool] = True  # False: the images are made, not read, and `root` is None
    reads_any_images: ClassVar[bool] = False  # True: reads whatever images a user has, so the folder is always named
    positive_class: ClassVar[str | None] = None  # of two classes, the one whose recall is the sensitivity

    @abstractmethod
    def load(self, root: Path | None) -> LoadedDataset:
        """Every image of the dataset, in an order that depends on nothing but the files.

        Raises DatasetError with one message that names what is missing or unreadable.
        """

    def sources(self, root: Path) -> list[Path]:
        """Every file whose bytes can change what `load` returns, in a fixed order."""
        return sorted(path for path in root.rglob("*") if path.is_file())

    def problems(self, root: Path | None) -> list[str]:
        """Everything wrong with the data, a line each; empty when `load` would succeed."""
        try:
            load_dataset(self, root)
        except InputError as error:
            return str(error).splitlines()
        return []

    def enlarged(self, size: int) -> Dataset:
        """A copy of the dataset with images of at least `size` x `size` pixels, for looking at details.

        The dataset itself if it has no setting `size`, or if that setting does not allow this value.
        """
        settings = self.model_dump()
        if not isinstance(settings.get("size"), int) or settings["size"] >= size:
            return self
        try:
            return self.model_validate({**settings, "size": size})
        except ValidationError:
            return self


def load_dataset(dataset: Dataset, root: Path | None) -> LoadedDataset:
    """The images of a dataset; any unexpected exception of its plugin becomes a DatasetError."""
    try:
        loaded = dataset.load(root)
        if not isinstance(loaded, LoadedDataset):
            raise TypeError(f"load must return a LoadedDataset, not {type(loaded).__name__}")
        return loaded
    except InputError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise DatasetError(_unexpected(dataset, error)) from error


def find_problems(dataset: Dataset, root: Path | None) -> list[str]:
    """Everything wrong with a dataset's files, a line each; an exception of the plugin is one line as well."""
    try:
        return dataset.problems(root)
    except InputError as error:
        return str(error).splitlines()
    except Exception as error:  # a plugin may raise anything
        return [_unexpected(dataset, error)]


def _unexpected(dataset: Dataset, error: Exception) -> str:
    return (
        f"the dataset {dataset.name!r} cannot be loaded ({type(error).__name__}: {error}); "
        f"see: lesionbench check {dataset.name}"
    )
