"""The options of several commands: those that are an experiment's settings are made from its fields."""

from __future__ import annotations

import functools
import inspect
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lesionbench.experiment.settings import CONTROLS, Experiment

if TYPE_CHECKING:
    from collections.abc import Callable

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="EXPERIMENT.toml",
        help="Settings in a file, or a folder with an experiment.toml; options given beside it win.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The output folder. [default: runs/DATASET-KEY]", show_default=False),
]
Jobs = Annotated[str | None, typer.Option(metavar="N|auto", help="Processes at a time. [default: auto, the cores]")]
StoreAddress = Annotated[
    str | None,
    typer.Option("--store", metavar="DIR|URL", help="Where fits are kept, to share them. [default: OUT/store]"),
]


@dataclass(frozen=True)
class Setting:
    """How one setting of an experiment is typed."""

    metavar: str
    option: str = ""  # where its name differs: an option that is repeated is in the singular
    repeated: bool = False


SETTINGS = {
    "dataset": Setting("NAME"),
    "data": Setting("DIR"),
    "positive_class": Setting("NAME"),
    "augmenters": Setting("NAME", "augmenter", repeated=True),
    "synthetic": Setting("N[,N...]", repeated=True),
    "classifiers": Setting("NAME", "classifier", repeated=True),
    "seeds": Setting("N"),
    "split": Setting("official|K"),
    "on_the_fly": Setting("NAME", repeated=True),
    "baseline": Setting("ARM"),
    "margin": Setting("SHARE"),
    "judged_by": Setting("METRIC"),
    "operating_point": Setting("RATE"),
    "validation": Setting("SHARE"),
    "classifier_seeds": Setting("N"),
    "seed": Setting("N"),
    "device": Setting("auto|cpu|cuda"),
    "precision": Setting("auto|fp32|bf16"),
    "stack": Setting(""),
}
CONTROLS_HELP = "Add the control arms: oversample, noise, shuffled labels, real-holdout."
USUAL = ("dataset", "data", "positive_class", "augmenters", "synthetic", "classifiers", "seeds", "split", CONTROLS)
RARE = ("on_the_fly", "validation", "classifier_seeds", "seed", "device", "precision", "stack")


KEYWORD = inspect.Parameter.KEYWORD_ONLY


def typed(setting: str, value: object) -> str:
    """A setting as it is typed on the command line: `--split 5`, or `--out` when it has no value."""
    option = f"--{_option(setting).replace('_', '-')}"
    return option if value is None or value is True else f"{option} {shlex.quote(str(value))}"


def _option(setting: str) -> str:
    return (SETTINGS[setting].option if setting in SETTINGS else "") or setting


def with_settings(
    first: tuple[str, ...], last: tuple[str, ...] = (), default: str = ""
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that gives a command options for settings: `first` ahead of the command's own, `last` after them.

    default: what holds for a setting that is not given; without it, the default of the experiment's field.
    The command gets those that were typed as its argument `settings`: a dictionary by the names of the settings.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        taken = inspect.signature(command, eval_str=True).parameters.values()
        own = [one.replace(kind=KEYWORD) for one in taken if one.name != "settings"]
        arguments = [one for one in own if _is_argument(one)]
        options = [one for one in own if not _is_argument(one)]
        ahead, behind = ([_parameter(setting, default) for setting in settings] for settings in (first, last))

        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            values = {name: given.pop(_option(name)) for name in (*first, *last)}
            command(settings={name: value for name, value in values.items() if value not in (None, [], False)}, **given)

        with_options.__signature__ = inspect.Signature([*arguments, *ahead, *options, *behind])  # type: ignore[attr-defined]  # typer reads it
        return with_options

    return decorate


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(isinstance(one, typer.models.ArgumentInfo) for one in getattr(parameter.annotation, "__metadata__", ()))


def _parameter(setting: str, default: str) -> inspect.Parameter:
    """The option of a setting; the experiment checks its value and knows its default."""
    if setting == CONTROLS:
        return _flag(CONTROLS, CONTROLS_HELP)
    if Experiment.model_fields[setting].annotation is bool:
        return _flag(setting, _help(setting, "off"))
    how = SETTINGS[setting]
    value = list[str] if how.repeated else Path if setting == "data" else str
    annotation = Annotated[value | None, typer.Option(metavar=how.metavar, help=_help(setting, default))]  # type: ignore[valid-type]
    return inspect.Parameter(_option(setting), KEYWORD, default=None, annotation=annotation)


def _flag(name: str, text: str) -> inspect.Parameter:
    annotation = Annotated[bool, typer.Option(f"--{name}", help=text)]
    return inspect.Parameter(name, KEYWORD, default=False, annotation=annotation)


def _help(setting: str, default: str) -> str:
    """The description of the experiment's field, whether the option may be repeated, and the default."""
    field = Experiment.model_fields[setting]
    text = str(field.description)
    repeat = "; repeat for more" if SETTINGS[setting].repeated else ""
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    default = default or ",".join(str(value) for value in values if value is not None)
    return f"{text[0].upper()}{text[1:]}{repeat}." + (f" [default: {default}]" if default else "")


def experiment_file(file: Path | None) -> Path | None:
    """The experiment file: the one named, or the experiment.toml in the folder that was named."""
    return file / "experiment.toml" if file is not None and file.is_dir() else file


def output_folder(out: Path | None, file: Path | None, experiment: Experiment) -> Path:
    """`--out`; else the folder of an experiment.toml that a run wrote; else one named after the settings."""
    from lesionbench.experiment.session import default_folder
    from lesionbench.experiment.settings import RESOLVED, read_toml

    if out is not None:
        return out
    if file is not None and RESOLVED in read_toml(file):
        return file.parent
    return default_folder(experiment)
