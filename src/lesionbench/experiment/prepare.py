"""From validated settings to a runnable experiment: loads and divides the images once and keeps them in the store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.errors import DatasetError, LesionbenchError, OutputError, SettingsError, Try
from lesionbench.experiment.chain import held_back, parse_chain
from lesionbench.experiment.code_digest import code_digest, module_digests, read_again
from lesionbench.experiment.data_folder import find_data
from lesionbench.experiment.grid import arms
from lesionbench.experiment.own_code import noted_code
from lesionbench.experiment.provenance import keep_modules, modules_behind, provenance
from lesionbench.experiment.stored_dataset import read_dataset, write_dataset
from lesionbench.pipeline.augmenter import AugmenterInParts
from lesionbench.pipeline.context import derive_seed
from lesionbench.pipeline.dataset import load_dataset
from lesionbench.pipeline.split import divide, group_status, hold_back, split_mode, splits
from lesionbench.spelling import did_you_mean
from lesionbench.store.addresses import open_store, whole_address
from lesionbench.store.digests import files_digest, key_of
from lesionbench.store.layout import DATASETS, SPLITS
from lesionbench.workers.raised import in_one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.context import Device, Precision
    from lesionbench.pipeline.dataset import Dataset, LoadedDataset
    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Plugins
    from lesionbench.store.store import Store

SPLITTING = "lesionbench.pipeline.split"  # the module that divides; its code is part of the key of splits

_LOADED: dict[type, str] = {}  # the digests of datasets' code as this process met it first

Inputs = dict[str, Any]  # has a JSON form, whose SHA-256 is a key of the store
Count = tuple[int, int]  # images, and the groups they are of


@dataclass(frozen=True)
class About:
    """What was found in the data and decided from it."""

    classes: tuple[str, ...]
    positive_class: str  # `each` with three or more classes
    split: str  # `official` or the number of folds
    folds: int
    groups: str  # apart, shared or waived
    sizes: dict[str, int]  # images in train, validation and test of the first fold
    tested: tuple[Count, ...]  # test images of all folds and their groups: of each class, then of all
    shape: tuple[int, int, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """An experiment whose images and splits lie in the store: all that a worker needs, and small to send."""

    experiment: Experiment
    data: Path | None  # the folder of the images; None if the dataset draws them itself
    store: str  # its address: a folder, or a URL
    sources: str  # a digest of the dataset's files; empty if it reads none
    dataset_inputs: Inputs  # what the images are made from; its digest is their key in the store
    splits_inputs: Inputs
    train_digests: tuple[str, ...]  # a digest of the training images of every fold: all that an augmenter sees
    about: About
    device: Device
    precision: Precision
    controls: tuple[str, ...]  # the augmenters that are controls, as the experiment's chains write them
    parts: dict[str, tuple[str, ...]]  # the parts of fits that have several, by augmenter as it is written

    @cached_property
    def dataset_key(self) -> str:
        """The key of the images."""
        return key_of(self.dataset_inputs)

    @cached_property
    def splits_key(self) -> str:
        """The key of their division into folds."""
        return key_of(self.splits_inputs)


def prepare(
    experiment: Experiment,
    plugins: Plugins,
    address: str,
    sources: str | None = None,
    *,
    keep: bool = True,
    elsewhere: bool = False,
) -> Prepared:
    """Load and divide the images, or find them in the store. Nothing is written until every check has passed.

    address: of the store.
    sources: the digest of the data that an earlier run in the same folder noted; other data is then an OutputError.
    keep: False leaves the store as it is.
    elsewhere: the fits run on other machines, so a GPU that is asked for need not be here.
    Raises DatasetError, SplitError, SettingsError or OutputError.
    """
    read_again()
    device = chosen_device(experiment, elsewhere)
    _refuse_unusable_files(experiment, plugins)
    dataset, store = plugins.dataset(experiment.dataset), open_store(address)
    root = find_data(dataset, experiment.data)
    digest = _sources(dataset, root, sources)
    dataset_inputs = {"dataset": _dataset_provenance(dataset, plugins), "sources": digest}

    kept_data = store.read(DATASETS, key_of(dataset_inputs))
    data = _load_unchanged(dataset, root, digest) if kept_data is None else read_dataset(kept_data)
    mode = split_mode(experiment.split, data)
    splits_inputs = _splits_inputs(key_of(dataset_inputs), mode, experiment)
    kept_parts = store.read(SPLITS, key_of(splits_inputs))
    parts: NDArray[np.str_] = _divide(data, mode, experiment) if kept_parts is None else kept_parts.array("parts")
    _refuse_holding_back(experiment, data.images, parts)
    prepared = Prepared(
        experiment=experiment,
        data=root.absolute() if root is not None else None,
        store=whole_address(address),
        sources=digest,
        dataset_inputs=dataset_inputs,
        splits_inputs=splits_inputs,
        train_digests=tuple(_train_digest(data.images.take(part == "train")) for part in parts),
        about=_about(experiment, dataset, data, mode, parts),
        device=device,
        precision=_precision(experiment, device),
        controls=used_controls(experiment, plugins),
        parts=used_parts(experiment, plugins, data.images.classes),
    )
    if keep and kept_data is None:
        _keep_data(store, prepared, dataset, data)
    if keep and kept_parts is None:
        _keep_parts(store, prepared, parts)
    return prepared


def _refuse_unusable_files(experiment: Experiment, plugins: Plugins) -> None:
    """Raise before anything runs if a file that a plugin names, such as weights, cannot be used."""
    for plugin in used_plugins(experiment, plugins):
        plugin.input_files()


def _dataset_provenance(dataset: Dataset, plugins: Plugins) -> Inputs:
    """What made the dataset's images; raises SettingsError if its code was edited since it was loaded."""
    made_from = provenance(dataset, plugins.get("dataset", dataset.name).package)
    _refuse_edited(dataset, made_from["code"])
    return made_from


def _sources(dataset: Dataset, root: Path | None, earlier: str | None) -> str:
    """The digest of the dataset's files; raises OutputError if an earlier run noted another."""
    digest = _digest(dataset, root)
    if earlier not in (None, digest):
        raise OutputError(
            f"the images in {root} are not those that the run in this folder used",
            Try("put these back, or choose another {out} for the new ones"),
        )
    return digest


def _load_unchanged(dataset: Dataset, root: Path | None, digest: str) -> LoadedDataset:
    """The images from their files; raises DatasetError if these change meanwhile."""
    data = _load(dataset, root)
    if _digest(dataset, root) != digest:
        raise DatasetError(f"the images in {root} changed while they were read; run the command again")
    return data


def used_plugins(experiment: Experiment, plugins: Plugins) -> list[Plugin]:
    """Every augmenter and classifier that the experiment names."""
    augmenters = [plugins.augmenter(spec) for spec in (*_links(experiment), *experiment.on_the_fly)]
    return [*augmenters, *(plugins.classifier(spec) for spec in experiment.classifiers)]


def used_controls(experiment: Experiment, plugins: Plugins) -> tuple[str, ...]:
    """The links of the experiment's chains that are controls; noted, so that results are read without the plugins."""
    return tuple(spec for spec in dict.fromkeys(_links(experiment)) if plugins.augmenter(spec).is_control)


def used_parts(experiment: Experiment, plugins: Plugins, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The parts of the fits that have several, by augmenter; noted, so that tasks are listed without the plugins.

    Parts that are trained together are one task.
    """
    found = {}
    for spec in dict.fromkeys((*_links(experiment), *experiment.on_the_fly)):
        augmenter = plugins.augmenter(spec)
        names = _parts(spec, augmenter, classes) if isinstance(augmenter, AugmenterInParts) else ()
        if len(names) > 1 and not experiment.stacks(augmenter):
            found[spec] = names
    return found


def _parts(spec: str, augmenter: AugmenterInParts, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of a fit; raises SettingsError unless the plugin names them."""
    try:
        names = augmenter.parts(classes)
    except LesionbenchError:
        raise
    except Exception as error:
        raise SettingsError(f"{spec!r} cannot say what the parts of its fit are ({in_one_line(error)})") from error
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"the parts of a fit are a tuple of names, but {spec!r} says {names!r:.80}")
    return tuple(names)


def _links(experiment: Experiment) -> list[str]:
    return [link.augmenter for text in experiment.augmenters for link in parse_chain(text)]


def _refuse_edited(dataset: Dataset, code: str) -> None:
    """Raise SettingsError if a dataset's code was edited since this process loaded it: the old code would be run."""
    if noted_code(type(dataset)) is None and _LOADED.setdefault(type(dataset), code) != code:
        raise SettingsError(
            f"the code of the dataset {dataset.name!r} was edited after it was loaded; start Python, or the notebook's "
            "kernel, again"
        )


def _refuse_holding_back(experiment: Experiment, images: LabelledImages, parts: NDArray[np.str_]) -> None:
    """Raise SplitError if an arm would hold back every training image of a class."""
    most = max((held_back(arm.draws) for arm in arms(experiment)), default=0)
    for part in parts if most else ():
        hold_back(images.take(part == "train"), most, 0)


def _splits_inputs(dataset_key: str, mode: Any, experiment: Experiment) -> Inputs:
    return {
        "of": dataset_key,
        "split": mode,
        "validation": experiment.validation,
        "seed": derive_seed("split", experiment.seed),
        "scikit-learn": version("scikit-learn"),
        "code": code_digest(SPLITTING),
    }


def _precision(experiment: Experiment, device: Device) -> Precision:
    if experiment.precision == "auto":
        return "bf16" if device == "cuda" else "fp32"
    return experiment.precision


def _load(dataset: Dataset, root: Path | None) -> LoadedDataset:
    data = load_dataset(dataset, root)
    if len(data.images.classes) < 2:
        raise DatasetError(
            f"a dataset needs at least two classes, but {dataset.name!r} has {', '.join(data.images.classes) or 'none'}"
        )
    return data


def _digest(dataset: Dataset, root: Path | None) -> str:
    if root is None:
        return ""
    files = dataset.sources(root)
    if not files:
        raise DatasetError(
            f"{root} must hold the images of {dataset.name!r}, but none was found there",
            Try(f"see: lesionbench data check {dataset.name} {{data}}", data=root),
        )
    return files_digest(files, root)


def _train_digest(train: LabelledImages) -> str:
    digest = hashlib.sha256(json.dumps([train.classes, train.shape, train.ids.tolist()]).encode())
    for array in (train.images, train.labels, train.groups):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _divide(data: LoadedDataset, mode: Any, experiment: Experiment) -> NDArray[np.str_]:
    divided = divide(data, mode, experiment.validation, derive_seed("split", experiment.seed))
    splits(data, divided)  # raises SplitError if a group is on two sides
    return np.stack(divided)


def _about(experiment: Experiment, dataset: Dataset, data: LoadedDataset, mode: Any, parts: NDArray[np.str_]) -> About:
    return About(
        classes=data.images.classes,
        positive_class=_positive_class(experiment, dataset, data.images.classes),
        split=str(mode),
        folds=len(parts),
        groups=group_status(data, mode),
        sizes={name: int((parts[0] == name).sum()) for name in ("train", "validation", "test")},
        tested=_count_tested(data.images, parts),
        shape=data.images.shape,
        notes=data.notes,
    )


def _count_tested(images: LabelledImages, parts: NDArray[np.str_]) -> tuple[Count, ...]:
    """The test images of all folds and their groups: of each class, then of all; parts (folds, N)."""
    of_test = (parts == "test").any(axis=0)
    chosen = [of_test & (images.labels == label) for label in range(len(images.classes))]
    return tuple((int(some.sum()), len(np.unique(images.groups[some]))) for some in (*chosen, of_test))


def _positive_class(experiment: Experiment, dataset: Dataset, classes: tuple[str, ...]) -> str:
    wanted = experiment.positive_class
    if len(classes) > 2:
        if wanted is not None:
            raise SettingsError(
                f"a positive class can be named only for two classes, but {dataset.name!r} has {len(classes)}",
                Try("leave out {positive_class}: each class is measured against the rest", positive_class=wanted),
            )
        return "each"
    wanted = dataset.positive_class if wanted is None else wanted
    if wanted is None:
        raise SettingsError(
            "with two classes the positive one must be named",
            Try(f"add {{positive_class}} or {classes[0]}", positive_class=classes[1]),
        )
    if wanted not in classes:
        raise SettingsError(
            f"the positive class must be one of {', '.join(classes)}, not {wanted!r}{did_you_mean(wanted, classes)}"
        )
    return wanted


def _keep_data(store: Store, prepared: Prepared, dataset: Dataset, data: LoadedDataset) -> None:
    keep_modules(store, prepared.dataset_inputs["dataset"]["code"], modules_behind(dataset))
    with store.write(DATASETS, prepared.dataset_key, prepared.dataset_inputs) as draft:
        write_dataset(draft, data)


def _keep_parts(store: Store, prepared: Prepared, parts: NDArray[np.str_]) -> None:
    keep_modules(store, prepared.splits_inputs["code"], module_digests(SPLITTING))
    with store.write(SPLITS, prepared.splits_key, prepared.splits_inputs) as draft:
        draft.put_array("parts", parts)


def has_gpu_driver() -> bool:
    """Whether this machine has the driver of a GPU; whether torch can use one is not asked, which takes seconds."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def chosen_device(experiment: Experiment, elsewhere: bool = False) -> Device:
    """The device to train on; `auto` imports torch only if there is a GPU driver.

    elsewhere: the fits run on other machines, so a GPU that is asked for need not be here.
    """
    if experiment.device == "cpu" or (elsewhere and experiment.device == "cuda"):
        return experiment.device
    if has_gpu_driver():
        import torch

        if torch.cuda.is_available():
            return "cuda"
    if experiment.device == "cuda":
        raise SettingsError(
            "device cuda needs a GPU that torch can use, and none was found", Try("use {device}", device="cpu")
        )
    return "cpu"
