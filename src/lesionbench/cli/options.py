"""The options that describe an experiment, shared by `run` and `plan`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lesionbench.experiment.settings import Experiment
    from lesionbench.plugins import Plugins

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[EXPERIMENT.toml]",
        help="Settings in a file, or a folder with an experiment.toml; options given beside it win.",
        show_default=False,
    ),
]
Dataset = Annotated[str | None, typer.Option(metavar="NAME", help="The dataset, NAME or NAME[key=value,...].")]
Data = Annotated[Path | None, typer.Option(metavar="DIR", help="The folder the dataset reads.")]
Augmenter = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="An augmenter, or a chain a+b, to compare with `none`; repeat for more."),
]
Synthetic = Annotated[
    list[str] | None, typer.Option(metavar="N[,N...]", help="The doses: synthetic images per class. [default: 480]")
]
OnTheFly = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Change every training batch with this augmenter; repeat for more. [default: none]"
    ),
]
Classifier = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A classifier; repeat for more. [default: kth-cnn]")
]
Split = Annotated[
    str | None, typer.Option(metavar="official|K", help="The dataset's own test set, or K group-wise folds.")
]
Validation = Annotated[
    str | None, typer.Option(metavar="SHARE", help="The share of training images held for validation. [default: 0.2]")
]
Seeds = Annotated[str | None, typer.Option(metavar="N", help="How often everything random is repeated. [default: 3]")]
Seed = Annotated[str | None, typer.Option(metavar="N", help="The base seed. [default: 0]")]
PositiveClass = Annotated[str | None, typer.Option(metavar="NAME", help="Of two classes, the one to be sensitive to.")]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="Where networks are trained.")]
Precision = Annotated[str | None, typer.Option(metavar="auto|fp32|bf16", help="auto: fp32 on the CPU, bf16 on a GPU.")]
ClassifierSeeds = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="Fits of the classifier with every seed, on the same synthetic images. [default: 1]"
    ),
]
Controls = Annotated[
    bool, typer.Option("--controls", help="Add the control arms: oversample, noise, shuffled labels, real-holdout.")
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="ARM", help="What is compared with: none, or an arm such as classic@480. [default: none]"),
]
Margin = Annotated[str | None, typer.Option(metavar="SHARE", help="A difference too small to matter. [default: 0.02]")]
JudgedBy = Annotated[str | None, typer.Option(metavar="METRIC", help="What the verdicts are about. [default: auc]")]
OperatingPoint = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="The specificity at which sensitivity is told, and the reverse. [default: 0.9]"),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The output folder. [default: runs/DATASET-SETTINGS]", show_default=False),
]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", metavar="DIR", help="Where fits are kept, to share them. [default: OUT/store]")
]


SETTING = {"augmenter": "augmenters", "classifier": "classifiers"}  # options that repeat have a plural in the file
OPTION = {setting: option for option, setting in SETTING.items()}


def typed(setting: str, value: object) -> str:
    """A setting as it is typed on the command line: `--split 5`, or `--out` when it has no value."""
    option = f"--{OPTION.get(setting, setting).replace('_', '-')}"
    return option if value is None or value is True else f"{option} {shlex.quote(str(value))}"


def experiment_file(file: Path | None) -> Path | None:
    """The experiment file: the one named, or the experiment.toml in the folder that was named."""
    return file / "experiment.toml" if file is not None and file.is_dir() else file


def experiment_from(file: Path | None, plugins: Plugins, options: Mapping[str, Any]) -> Experiment:
    """The experiment in the file with the options that were given over it; raises SettingsError.

    options: a command's arguments by name; those that are no settings, or not given, are passed over.
    """
    from lesionbench.experiment.settings import CONTROLS, Experiment, load_experiment

    named = {SETTING.get(name, name): value for name, value in options.items() if value not in (None, [])}
    given = {name: value for name, value in named.items() if name in Experiment.model_fields}
    if options.get(CONTROLS):
        given[CONTROLS] = True
    return load_experiment(file, given, plugins)


def output_folder(out: Path | None, file: Path | None, experiment: Experiment) -> Path:
    """`--out`; else the folder of an experiment.toml that a run wrote; else one named after the settings."""
    from lesionbench.experiment.session import default_folder
    from lesionbench.experiment.settings import RESOLVED, read_toml

    if out is not None:
        return out
    if file is not None and RESOLVED in read_toml(file):
        return file.parent
    return default_folder(experiment)
