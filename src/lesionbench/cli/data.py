"""`lesionbench data`: which datasets there are, where their files lie, and whether they can be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable


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
    """List the datasets and where their files were found."""
    from lesionbench.cli.options import typed
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.datasets import place_line

    installed = Plugins.load()
    datasets = installed.of_kind("dataset")
    width = max(len(found.name) for found in datasets)
    say(f"{found.name:<{width}}  ({found.package})  {place_line(found.cls, typed)}" for found in datasets)
    say(f"broken: {package}: {error}" for package, error in installed.broken.items())


@app.command()
def check(
    spec: Annotated[str, typer.Argument(metavar="NAME", help="The dataset, NAME or NAME[key=value,...].")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder that holds the dataset's files.")] = None,
) -> None:
    """Load a dataset and describe it, or list all that is wrong.

    Exit status 2 when something is wrong.
    """
    from lesionbench.cli.options import typed
    from lesionbench.errors import DatasetError
    from lesionbench.experiment.data_folder import find_data
    from lesionbench.pipeline.dataset import find_problems, load_dataset
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.report.datasets import dataset_lines
    from lesionbench.report.words import count

    dataset = Plugins.load().dataset(spec)
    root = find_data(dataset, data)
    try:
        loaded = load_dataset(dataset, root)
    except DatasetError as error:
        listed = find_problems(dataset, root)
        problems = listed if len(listed) > 1 else error.written(typed).splitlines()
        say([*problems, f"{spec}: {count(len(problems), 'problem')}"])
        raise typer.Exit(2) from None
    say(dataset_lines(dataset, root, loaded, typed))
