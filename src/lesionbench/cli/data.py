"""`lesionbench data`: which datasets there are, where their files lie, and whether they can be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lesionbench.pipeline.dataset import Dataset, LoadedDataset
    from lesionbench.plugins import Found


class DataGroup(TyperGroup):
    """`list`, `check`, and the commands that plugins bring.

    Typer brings a click of its own under a private name, so its contexts and commands are `Any` here.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return [*super().list_commands(ctx), *sorted(_brought())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; plugins are looked at only when it is none of ours."""
        own = super().get_command(ctx, cmd_name)
        function = None if own else _brought().get(cmd_name)
        if function is None:
            return own
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command(cmd_name)(function)
        return typer.main.get_command(single)


def _brought() -> dict[str, Callable[..., None]]:
    from lesionbench.plugins import Plugins

    return Plugins.load().data_commands()


app = typer.Typer(cls=DataGroup, help="List the datasets, or check that one can be used.", no_args_is_help=True)


@app.command("list")
def list_datasets() -> None:
    """List the installed datasets, from which package, and where their files were found."""
    from lesionbench.plugins import Plugins

    installed = Plugins.load()
    datasets = installed.of_kind("dataset")
    width = max(len(found.name) for found in datasets)
    _say(f"{found.name:<{width}}  ({found.package})  {_place(found)}" for found in datasets)
    _say(f"broken: {package}: {error}" for package, error in installed.broken.items())


@app.command()
def check(
    spec: Annotated[str, typer.Argument(metavar="NAME", help="The dataset, NAME or NAME[key=value,...].")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder the dataset reads.")] = None,
) -> None:
    """Load a dataset and describe it, or list everything that is wrong with it (exit status 2)."""
    from lesionbench.cli.options import typed
    from lesionbench.errors import DatasetError
    from lesionbench.experiment.data_folder import find_data
    from lesionbench.pipeline.dataset import find_problems, load_dataset
    from lesionbench.plugins import Plugins
    from lesionbench.spelling import spec_of

    dataset = Plugins.load().dataset(spec)
    root = find_data(dataset, data)
    try:
        loaded = load_dataset(dataset, root)
    except DatasetError as error:
        listed = find_problems(dataset, root)
        problems = listed if len(listed) > 1 else error.written(typed).splitlines()
        _say(problems)
        _say([f"{spec_of(dataset)}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"])
        raise typer.Exit(2) from None
    _say([f"{spec_of(dataset)}  ({root or 'made, needs no data'})", *_summary(dataset, loaded)])


def _place(found: Found) -> str:
    from lesionbench.experiment.data_folder import VARIABLE, usual_places
    from lesionbench.pipeline.dataset import Dataset

    assert issubclass(found.cls, Dataset)
    if not found.cls.needs_data:
        return "made, needs no data"
    if found.cls.reads_any_images:
        return "your own images: name their folder with --data DIR"
    places = usual_places(found.name)
    there = next((place for place in places if place.is_dir()), None)
    if there is not None:
        return str(there)
    return f"not found: put it in {' or '.join(map(str, places))}, set {VARIABLE}, or name its folder with --data DIR"


def _summary(dataset: Dataset, data: LoadedDataset) -> Iterator[str]:
    """What was loaded, a line a fact."""
    images = data.images
    height, width, channels = images.shape
    yield f"images   {len(images)}, {height} x {width}, {'grey' if channels == 1 else 'colour'}"
    yield from _class_table(data)
    if len(images.classes) == 2:
        yield f"positive {dataset.positive_class or 'not named: add --positive-class NAME'}"
    yield _groups_line(data)
    yield from (f"note: {note}" for note in data.notes)


def _class_table(data: LoadedDataset) -> Iterator[str]:
    images = data.images
    parts = {"images": images.labels}
    if data.is_test is not None:
        parts = {"train": images.labels[~data.is_test], "test": images.labels[data.is_test]}
    width = max(len("total"), *map(len, images.classes))
    yield f"classes  {'':<{width}}" + "".join(f"{part:>8}" for part in parts)
    for label, name in enumerate(images.classes):
        yield f"         {name:<{width}}" + "".join(f"{(labels == label).sum():>8}" for labels in parts.values())
    yield f"         {'total':<{width}}" + "".join(f"{len(labels):>8}" for labels in parts.values())


def _groups_line(data: LoadedDataset) -> str:
    from lesionbench.pipeline.split import group_status, shared_groups

    groups = data.images.groups
    status = group_status(data, "official" if data.is_test is not None else 5)
    if status == "waived" or data.is_test is None:
        return f"groups   {status}" + ("" if status == "waived" else f" in folds, {len(set(groups.tolist()))} groups")
    count = len(shared_groups(groups[~data.is_test], groups[data.is_test]))
    line = f"groups   {status} in the official split, {len(set(groups.tolist()))} groups"
    if not count:
        return line
    line += f", {count} of them in both train and test"
    return line if data.keep_shared_groups else f"{line}: --split official is refused; --split 5 keeps them apart"


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
