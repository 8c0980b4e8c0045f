"""Small data to try a plugin on: images, a training set, a context, and the plugin with few steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, wraps
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import finalize

import numpy as np
from pydantic import ValidationError

from lesionbench.pipeline.context import RunContext
from lesionbench.pipeline.images import LabelledImages
from lesionbench.pipeline.plugin import Plugin
from lesionbench.pipeline.training_set import TrainingSet
from lesionbench.testing.require import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

AnyPlugin = TypeVar("AnyPlugin", bound=Plugin)
Made = TypeVar("Made")
FEW_STEPS = 2


def tiny_images(
    classes: int = 2, channels: int = 3, size: int = 32, seed: int = 0, per_class: int = 12
) -> LabelledImages:
    """Noisy stripes whose width depends on the class: uint8 (classes * per_class, size, size, channels).

    Two images share a group. Another seed gives other images, other groups and other ids.
    """
    count = classes * per_class
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes, dtype=np.int64), per_class)  # (N,)
    phase = generator.uniform(0, 2 * np.pi, (count, 1))
    waves = np.sin(np.arange(size) * (labels[:, None] + 1) * 0.4 + phase)  # (N, W)
    noise = generator.uniform(-40, 40, (count, size, size, channels))
    images = 128 + 80 * waves[:, None, :, None] + noise  # (N, H, W, C), 8..248
    groups = np.arange(count, dtype=np.int64) // 2 + 1000 * seed
    ids = np.array([f"tiny-{seed}-{n}" for n in range(count)], dtype=np.str_)  # the dtype is text even without images
    names = tuple(f"class-{label}" for label in range(classes))
    return LabelledImages(images.astype(np.uint8), labels, groups, ids, names)


def tiny_training_set(
    classes: int = 2, channels: int = 3, size: int = 32, seed: int = 0, synthetic_per_class: int = 6
) -> TrainingSet:
    """Real, synthetic and validation images made by `tiny_images`; no group is in two of these parts."""
    synthetic = tiny_images(classes, channels, size, 3 * seed + 1, synthetic_per_class)
    validation = tiny_images(classes, channels, size, 3 * seed + 2)
    real = tiny_images(classes, channels, size, 3 * seed)
    return TrainingSet(real, synthetic.images, synthetic.labels, validation)


@dataclass
class Reports:
    """A `report` that keeps each of its calls as a row (step, total, scalars)."""

    rows: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)

    def __call__(self, step: int, total: int, **scalars: float) -> None:
        """Keep one row."""
        self.rows.append((step, total, scalars))


def a_context(folder: Path, seed: int = 0, report: Reports | None = None) -> RunContext:
    """A context on the CPU in fp32 that writes into this folder (created if it is missing) and collects reports.

    Its reports are `context.report.rows`. Pass your own `Reports` to read them with their type.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return RunContext(seed, "cpu", "fp32", folder, Reports() if report is None else report)


def quick(plugin_class: type[AnyPlugin]) -> AnyPlugin:
    """The plugin with its default settings, but two steps if it has a setting `steps`.

    Raises Skipped if these settings are invalid; `check_settings_have_usable_defaults` fails in that case.
    """
    try:
        return build(plugin_class)
    except ValidationError:
        raise Skipped("its default settings are refused; see: settings have usable defaults") from None


def build(plugin_class: type[AnyPlugin]) -> AnyPlugin:
    """The plugin with two steps; raises ValidationError if these settings are invalid."""
    few = {"steps": FEW_STEPS} if "steps" in plugin_class.model_fields else {}
    return plugin_class.model_validate(few)


class KeptFolder:
    """A new temporary folder, `path`, that exists as long as this object does."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="lesionbench-check-"))
        finalize(self, rmtree, self.path, ignore_errors=True)


def kept_for_other_checks(maxsize: int) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """A decorator: what the function returns for a plugin class is kept, so that many checks can use one fit.

    At most `maxsize` results are kept. A class is fitted again if its `fit` was replaced or has raised an error; of a
    dataset, the same holds for `load`.
    """

    def decorate(make: Callable[..., Made]) -> Callable[..., Made]:
        @lru_cache(maxsize)
        def kept(plugin_class: Any, _method: object, *arguments: object) -> Made:
            return make(plugin_class, *arguments)

        @wraps(make)
        def made(plugin_class: Any, *arguments: object) -> Made:
            return kept(plugin_class, getattr(plugin_class, "fit", plugin_class.load), *arguments)

        return made

    return decorate


def writable(images: LabelledImages) -> LabelledImages:
    """Copies of the images that can be written to, so that a forbidden edit succeeds and is noticed."""
    copy = LabelledImages(images.images, images.labels, images.groups, images.ids, images.classes)
    for name in ("images", "labels", "groups", "ids"):
        object.__setattr__(copy, name, getattr(images, name).copy())
    return copy


def writable_set(train: TrainingSet) -> TrainingSet:
    """A copy of the training set whose arrays can be written to."""
    real, validation = writable(train.real), writable(train.validation)
    return TrainingSet(real, train.synthetic.copy(), train.synthetic_labels.copy(), validation, train.on_the_fly)


def arrays_of(part: LabelledImages | TrainingSet) -> dict[str, bytes]:
    """The bytes of every array, by the name of the array."""
    if isinstance(part, TrainingSet):
        named = {f"{name} {key}": value for name in ("real", "validation") for key, value in _of(part, name).items()}
        return named | {"synthetic": part.synthetic.tobytes(), "synthetic labels": part.synthetic_labels.tobytes()}
    return {name: getattr(part, name).tobytes() for name in ("images", "labels", "groups", "ids")}


def _of(train: TrainingSet, name: str) -> dict[str, bytes]:
    return arrays_of(getattr(train, name))


def changed_names(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """The names of the arrays that differ, joined by commas; empty when none does."""
    return ", ".join(name for name in before if before[name] != after[name])
