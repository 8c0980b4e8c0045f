"""What the arguments of `lesionbench.run` and `plan` ask for: an experiment, the plugins it uses, and its images."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import ValidationError

from lesionbench.api.images import ArrayImages
from lesionbench.api.kept_images import content_key, kept_images
from lesionbench.builtin.arrays import write_arrays
from lesionbench.errors import PluginError, SettingsError, Try
from lesionbench.experiment.own_code import pack
from lesionbench.experiment.session import default_folder
from lesionbench.experiment.settings import make_experiment
from lesionbench.pipeline.augmenter import Augmenter
from lesionbench.pipeline.classifier import Classifier
from lesionbench.pipeline.dataset import Dataset
from lesionbench.pipeline.plugin import Plugin
from lesionbench.plugins import Plugins
from lesionbench.spelling import spec_of
from lesionbench.store.addresses import is_url
from lesionbench.store.digests import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lesionbench.experiment.settings import Experiment
    from lesionbench.plugins import Kind

BASES: dict[Kind, type[Plugin]] = {"dataset": Dataset, "augmenter": Augmenter, "classifier": Classifier}
KIND_OF: dict[str, Kind] = {"augmenters": "augmenter", "on_the_fly": "augmenter", "classifiers": "classifier"}


class Settings(TypedDict, total=False):
    """The settings of an experiment beside its dataset; each is described in the reference."""

    split: str | int
    validation: float
    augmenters: str | Augmenter | Sequence[str | Augmenter]
    synthetic: int | Sequence[int]
    on_the_fly: str | Augmenter | Sequence[str | Augmenter]
    classifiers: str | Classifier | Sequence[str | Classifier]
    controls: bool
    seeds: int
    classifier_seeds: int
    seed: int
    positive_class: str | int | None
    device: str
    precision: str
    stack: bool
    baseline: str
    margin: float
    judged_by: str
    operating_point: float


@dataclass(frozen=True)
class Request:
    """A validated experiment, the plugins that it may use, and its images when they were given as arrays."""

    experiment: Experiment
    plugins: Plugins
    arrays: ArrayImages | None

    def folder(self, out: str | Path | None) -> Path:
        """The output folder: the one given, else one named after the settings (and the arrays)."""
        given = given_folder("out", out)
        if given is not None:
            return given
        usual = default_folder(self.experiment)
        if self.arrays is None:
            return usual
        return usual.with_name(f"arrays-{key_of([usual.name, content_key(self.arrays.data)])[:8]}")

    @contextmanager
    def ready(self, out: Path) -> Iterator[Experiment]:
        """The experiment, with images from arrays kept in `out`; see `kept_images`."""
        if self.arrays is None:
            yield self.experiment
        else:
            with kept_images(out, self.arrays.data, self.experiment) as experiment:
                yield experiment

    @contextmanager
    def readable(self) -> Iterator[Experiment]:
        """The experiment, with images from arrays in a folder that is removed afterwards."""
        if self.arrays is None:
            yield self.experiment
        else:
            with tempfile.TemporaryDirectory() as kept:
                write_arrays(Path(kept), self.arrays.data)
                yield self.experiment.model_copy(update={"data": Path(kept)})


def understand(dataset: str | Dataset | ArrayImages, data: str | Path | None, settings: Settings) -> Request:
    """The request in these arguments; raises SettingsError or PluginError."""
    plugins = Plugins.load()
    given: dict[str, Any] = {name: listed(value) for name, value in settings.items()}
    for name in KIND_OF.keys() & given.keys():
        given[name] = [spelled(KIND_OF[name], one, plugins) for one in as_list(given[name])]
    arrays = dataset if isinstance(dataset, ArrayImages) else None
    if arrays is not None:
        refuse_folder(data)
        given = {"positive_class": arrays.positive_class, **given, "dataset": "arrays"}
    else:
        given |= {"dataset": spelled("dataset", dataset, plugins), "data": given_folder("data", data)}
    plugins.own = pack(plugins)
    return Request(make_experiment(given, plugins), plugins, arrays)


def spelled(kind: Kind, given: object, plugins: Plugins) -> str:
    """A plugin as text; the class of an object that no package brings is added to the plugins."""
    if isinstance(given, str):
        return given
    plugin = checked(kind, given)
    plugins.adopt(kind, type(plugin))
    try:
        spec = spec_of(plugin)
    except ValidationError:
        raise PluginError(f"every setting of {type(plugin).__name__} needs a default") from None
    if not _stands_for(kind, spec, plugin, plugins):
        raise PluginError(f"the settings of {plugin!r} cannot be written as text ({spec}); use numbers and short texts")
    return spec


def _stands_for(kind: Kind, spec: str, plugin: Plugin, plugins: Plugins) -> bool:
    """Whether the text makes the same plugin again."""
    try:
        return bool(getattr(plugins, kind)(spec) == plugin)
    except SettingsError:  # a comma in a text, or a list
        return False


def checked(kind: Kind, given: object) -> Plugin:
    """The plugin object that was given; raises SettingsError, with what to type, for anything else."""
    base = BASES[kind]
    if isinstance(given, type) and issubclass(given, Plugin):
        raise SettingsError(f"{kind}s are names or objects; write {given.__name__}(), not the class {given.__name__}")
    if kind == "dataset" and hasattr(given, "dtype"):
        raise SettingsError("images in an array are a dataset with their labels: lesionbench.images(array, labels)")
    if kind == "dataset" and isinstance(given, Path):
        raise SettingsError(f"a folder of images is read with dataset='folder', data={str(given)!r}")
    if not isinstance(given, base):
        article = "an" if kind == "augmenter" else "a"
        raise SettingsError(
            f"{article} {kind} is a name or an object of a subclass of {base.__name__}, not {given!r:.80}"
        )
    return given


def given_folder(name: str, given: object) -> Path | None:
    """The folder or file in an argument, None when there is none; raises SettingsError when it cannot be one."""
    return None if given is None else path_of(name, given)


def given_address(given: object) -> str | None:
    """The address of a store in an argument, None when there is none; raises SettingsError when it cannot be one."""
    return None if given is None else given if is_url(given) else str(path_of("store", given))


def path_of(name: str, given: object) -> Path:
    """The path in an argument that must be given; raises SettingsError when it cannot be one."""
    if not isinstance(given, str | Path) or "\0" in str(given):
        raise SettingsError(f"{name} is a path, as text or a Path, not {given!r:.80}")
    return Path(given)


def refuse_folder(data: object) -> None:
    """Raise SettingsError when images from arrays are given a folder as well."""
    if data is not None:
        raise SettingsError("images from arrays have no other folder", Try("leave out {data}", data=data))


def listed(value: Any) -> Any:
    """A range, an array or a Series as a list, a number of numpy as one of Python."""
    if getattr(value, "ndim", None) == 0:
        return value.item()
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes | Plugin | type) else value


def as_list(value: Any) -> list[Any]:
    """The value, in a list unless it is one."""
    return value if isinstance(value, list) else [value]
