"""One experiment's settings: TOML and command line in, one validated object out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeGuard

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lesionbench.errors import SettingsError, Try
from lesionbench.experiment.chain import canonical, controls, parse_chain
from lesionbench.experiment.grid import arms
from lesionbench.given_files import path_problem, read_whole, reason
from lesionbench.pipeline.augmenter import BASELINE, StackableAugmenter
from lesionbench.spelling import did_you_mean, spec_of, what_is_wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.plugins import Plugins

OWN_PLUGINS = "own_plugins"  # in RESOLVED: the plugins that were defined in a notebook or script
RESOLVED = "resolved"  # the table of experiment.toml that a run adds; not a setting
CONTROLS = "controls"  # a switch of experiment files: true adds the control arms
MOST_BYTES = 2**20  # of an experiment file; the largest are a few kilobytes
MOST_PARTS = 100  # of a dotted key
JUDGING = ("baseline", "margin", "judged_by", "operating_point")  # settings that do not change any prediction


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


def _doses(value: object) -> object:
    """`120,480`, 480 or [120, 480] as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    if isinstance(value, list | tuple):
        return [dose for part in value for dose in (part.split(",") if isinstance(part, str) else [part])]
    return [value]


def _dose(value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,7}", str(value).strip()):
        raise ValueError("a dose is a whole number of synthetic images per class, 0 or more, such as 120 or 480")
    return int(str(value))


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is needed here")
    return value


def _class_name(value: object) -> object:
    """The name of a class; a dataset of numbered classes has names such as `0`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _split(value: object) -> object:
    if value is None or (isinstance(value, str) and value == "official"):
        return value
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,4}", str(value)) or int(str(value)) < 2:
        raise ValueError("a split is `official` or a number of folds, 2 or more, such as 5")
    return int(str(value))


JudgedBy = Literal["auc", "balanced_accuracy", "accuracy", "sensitivity", "specificity"]
Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
Dose = Annotated[int, BeforeValidator(_dose)]
WholeNumber = Annotated[int, BeforeValidator(_number)]
Share = Annotated[float, BeforeValidator(_number)]


class Experiment(BaseModel):
    """What is compared with what, on which images; everything here except `data` can change the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field("skin-phantom", description="the dataset, NAME or NAME[key=value,...]")
    data: Path | None = Field(None, description="the folder that holds the dataset's files")
    split: Annotated[Literal["official"] | int | None, BeforeValidator(_split)] = Field(
        None,
        description="official (the dataset's own test set), or the number of group-wise folds",
    )
    validation: Share = Field(0.2, ge=0.05, le=0.5, description="the share of the training images kept for validation")
    augmenters: Names = Field((), description="the augmenters, or chains such as a+b, to compare with no augmenter")
    synthetic: Annotated[tuple[Dose, ...], BeforeValidator(_doses)] = Field(
        (480,), min_length=1, description="the doses: synthetic images per class"
    )
    on_the_fly: Names = Field(
        (BASELINE,),
        min_length=1,
        description="none, or augmenters that change every training batch",
    )
    classifiers: Names = Field(("kth-cnn",), min_length=1, description="the classifiers to train")
    seeds: WholeNumber = Field(3, ge=1, le=1000, description="how many times everything random is repeated")
    classifier_seeds: WholeNumber = Field(
        1,
        ge=1,
        le=100,
        description="how many times, with each seed, the classifier is fitted on the same synthetic images",
    )
    seed: WholeNumber = Field(0, ge=0, lt=2**63, description="the base seed from which all others are derived")
    positive_class: Annotated[str | None, BeforeValidator(_class_name)] = Field(
        None, description="of two classes, the one whose recall is the sensitivity"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks are trained")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: fp32 on the CPU, bf16 on a GPU")
    stack: bool = Field(
        False,
        strict=True,
        description="train the networks of all classes of a fit together; for GPUs, and not measured on one yet",
    )
    baseline: str = Field(
        BASELINE, description="the arm that every other is compared with, such as none or classic@480"
    )
    margin: Share = Field(0.02, gt=0, lt=0.5, description="the difference that is too small to matter")
    judged_by: JudgedBy = Field("auc", description="the metric that the verdicts are about")
    operating_point: Share = Field(
        0.9, gt=0, lt=1, description="the specificity at which sensitivity is reported, and the reverse"
    )

    def stacks(self, augmenter: Augmenter) -> TypeGuard[StackableAugmenter]:
        """Whether an augmenter trains the networks of all classes together."""
        return self.stack and isinstance(augmenter, StackableAugmenter)


def make_experiment(given: Mapping[str, Any], plugins: Plugins) -> Experiment:
    """The validated experiment, with every plugin spelled in the standard way; raises SettingsError.

    given: the settings, and `controls`: true adds the control arms to the augmenters.
    """
    given = dict(given)
    wants_controls = given.pop(CONTROLS, False)
    if not isinstance(wants_controls, bool):
        raise SettingsError(f"{CONTROLS} is true or false, not {wants_controls!r}")
    for key in given:
        if key not in Experiment.model_fields:
            raise SettingsError(
                f"an experiment has no setting {key!r}{did_you_mean(key, Experiment.model_fields)} "
                f"(settings: {', '.join(Experiment.model_fields)})"
            )
    experiment = validated(given)
    _refuse_on_the_fly(experiment, plugins)
    _refuse_stack(experiment, plugins)

    def spelled(spec: str) -> str:
        return spec_of(plugins.augmenter(spec))

    def compared(spec: str) -> bool:
        augmenter = plugins.augmenter(spec)
        return not (augmenter.is_baseline or augmenter.is_control)

    chosen = list(experiment.augmenters)
    if wants_controls:
        chosen += controls(chosen, experiment.synthetic, compared)
    augmenters = _unique(canonical(text, spelled) for text in chosen)
    experiment = experiment.model_copy(
        update={
            "dataset": spec_of(plugins.dataset(experiment.dataset)),
            "augmenters": tuple(text for text in augmenters if parse_chain(text)[0].augmenter != BASELINE),
            "on_the_fly": _unique(spelled(spec) for spec in experiment.on_the_fly),
            "classifiers": _unique(spec_of(plugins.classifier(spec)) for spec in experiment.classifiers),
            "synthetic": tuple(sorted(set(experiment.synthetic))),
        }
    )
    first = arms(experiment)[0].name  # `none`; or, where every arm is changed on the fly, `none` so changed
    if experiment.baseline == BASELINE and experiment.on_the_fly[0] != BASELINE:
        experiment = experiment.model_copy(update={"baseline": first})
    check_baseline(experiment)
    return experiment


def load_experiment(file: Path | None, given: Mapping[str, Any], plugins: Plugins) -> Experiment:
    """The experiment in the file; the given settings win over those in the file. Raises SettingsError."""
    from_file = read_toml(file) if file is not None else {}
    resolved = from_file.pop(RESOLVED, None)
    plugins.elsewhere = own_plugins(resolved) if isinstance(resolved, dict) else ()
    return make_experiment({**from_file, **given}, plugins)


def own_plugins(resolved: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the plugins of a run that were defined in a notebook or a script."""
    names = resolved.get(OWN_PLUGINS)
    return tuple(map(str, names)) if isinstance(names, list) else ()


def check_baseline(experiment: Experiment) -> None:
    """Raise SettingsError unless the baseline is one of the experiment's arms."""
    names = list(dict.fromkeys(arm.name for arm in arms(experiment)))
    if experiment.baseline not in names:
        raise SettingsError(
            f"the baseline must be an arm of the run, but {experiment.baseline!r} is not"
            f"{did_you_mean(experiment.baseline, names)} (arms: {', '.join(names)})"
        )


def validated(given: Mapping[str, Any]) -> Experiment:
    """The experiment with these settings, each within its range; raises SettingsError."""
    try:
        experiment = Experiment.model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(_problems(error.errors())), *_examples(error.errors())) from None
    return experiment


def _refuse_on_the_fly(experiment: Experiment, plugins: Plugins) -> None:
    """Raise SettingsError where images cannot be changed on the fly."""
    for spec in experiment.on_the_fly:
        if len(parse_chain(spec)) > 1 or parse_chain(spec)[0].per_class is not None:
            raise SettingsError(
                f"on the fly one augmenter changes batches, without + and @, not {spec!r}",
                Try("give several with {on_the_fly}, one by one"),
            )
    changing = [spec for spec in experiment.on_the_fly if not plugins.augmenter(spec).is_baseline]
    for spec in changing:
        if not plugins.augmenter(spec).changes_images:
            able = [found.name for found in plugins.of_kind("augmenter") if getattr(found.cls, "changes_images", False)]
            raise SettingsError(
                f"on the fly an augmenter changes given images, but {spec!r} can only draw new ones",
                Try(f"use {{augmenters}}, or {{on_the_fly}} with one of: {', '.join(able) or 'none'}", augmenters=spec),
            )
    for spec in experiment.classifiers if changing else ():
        if not plugins.classifier(spec).learns_in_batches:
            raise SettingsError(
                f"an augmenter on the fly changes every training batch, but {spec!r} learns from all images at once",
                Try("leave out {on_the_fly} or {classifiers}", on_the_fly=changing[0], classifiers=spec),
            )


def _refuse_stack(experiment: Experiment, plugins: Plugins) -> None:
    """Raise SettingsError if networks are to be trained together and no augmenter can do it."""
    links = [link.augmenter for text in experiment.augmenters for link in parse_chain(text)]
    if experiment.stack and not any(experiment.stacks(plugins.augmenter(spec)) for spec in links):
        able = [found.name for found in plugins.of_kind("augmenter") if hasattr(found.cls, "fit_stacked")]
        raise SettingsError(
            f"stack trains the networks of all classes of a fit together, but no augmenter here can do that: "
            f"{', '.join(links) or 'there is none'}",
            Try(f"leave out {{stack}}, or add one that can: {', '.join(able) or 'none'}"),
        )


def _unique(specs: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(specs))


def _problems(errors: list[Any]) -> list[str]:
    """One message for each setting; where items of a list are wrong, pydantic's message about the list is left out."""
    of_items = {error["loc"][0] for error in errors if len(error["loc"]) > 1}
    return [_problem(error) for error in errors if len(error["loc"]) > 1 or error["loc"][0] not in of_items]


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if isinstance(part, str) and part.isidentifier())
    return f"{where or 'experiment'}: {what_is_wrong(error)}"


def _examples(errors: list[Any]) -> list[Try]:
    """For each wrong setting its default, as a value to try."""
    names = dict.fromkeys(str(error["loc"][0]) for error in errors)
    defaults = {name: Experiment.model_fields[name].default for name in names}
    firsts = {name: next(iter(value), None) if isinstance(value, tuple) else value for name, value in defaults.items()}
    return [Try(f"try {{{name}}}", **{name: value}) for name, value in firsts.items() if value is not None]


def parse_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds; raises OSError or ValueError when it is none, too large or nested too deeply."""
    text = read_whole(path, MOST_BYTES).decode("utf-8")
    # Reading a key of n dotted parts takes memory of n squared; outside of keys, such parts end with other signs.
    if any(part.count(".") > MOST_PARTS for part in re.split(r"[^\w\"' \t.-]", text)):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        raise ValueError("a number in it has too many digits") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in an experiment.toml; a relative `data` is taken from the file's own folder."""
    wrong = path_problem(path)
    if wrong:
        raise SettingsError(wrong)
    try:
        given = parse_toml(path)
    except FileNotFoundError:
        raise SettingsError(f"there is no experiment file {path}; name an existing one, or give the settings") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} must be a TOML file, but: {reason(error)}") from None
    if isinstance(given.get("data"), str):
        given["data"] = path.parent / given["data"]
    return given
