"""`lesionbench store`: what a store holds, whether it is whole, deleting what no run uses, taking it elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, verify, prune, export or import a store.", no_args_is_help=True)

Run = Annotated[Path | None, typer.Argument(metavar="RUN", help="A run, whose store is meant.", show_default=False)]
Folder = Annotated[str | None, typer.Option("--store", metavar="DIR", help="The folder of the store.")]


@app.command("list")
def list_entries(run: Run = None, store: Folder = None) -> None:
    """List entries and sizes by kind, and which runs use them."""
    from lesionbench.experiment.output import named_store
    from lesionbench.report.console import say
    from lesionbench.report.store import inventory_lines
    from lesionbench.store.inventory import take_inventory

    say(inventory_lines(take_inventory(named_store(run, store).folder)))


@app.command()
def verify(
    run: Run = None,
    store: Folder = None,
    set_aside: Annotated[bool, typer.Option("--set-aside", help="Move damaged entries out of the way.")] = False,
) -> None:
    """Verify every checksum; exit status 1 if one is wrong.

    A damaged entry is made again by the run that needs it. Nothing is written without --set-aside.
    """
    from lesionbench.experiment.output import named_store
    from lesionbench.report.console import say
    from lesionbench.report.store import verified_lines
    from lesionbench.store.verifying import verify

    named = named_store(run, store)
    verified = verify(named, set_aside=set_aside)
    say(verified_lines(verified, named.folder, set_aside=set_aside))
    raise typer.Exit(1 if verified.flaws else 0)


@app.command()
def prune(
    run: Run = None,
    store: Folder = None,
    older: Annotated[
        float, typer.Option(metavar="DAYS", min=0, help="Only what was made that many days ago or earlier.")
    ] = 0,
    forget: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN|ZIP",
            help="A run that is gone for good, or an archive that was imported: its entries may go; repeat for more.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what would be deleted.")] = False,
) -> None:
    """Delete what no run uses, or say what that would be.

    What a run uses is kept as long as its folder is there, and also if it is not found here, unless it is forgotten;
    so is what was imported.
    """
    from lesionbench.experiment.output import named_store
    from lesionbench.report.console import say
    from lesionbench.report.store import pruning_lines
    from lesionbench.store.pruning import plan_pruning, prune

    named = named_store(run, store)
    pruning = plan_pruning(named, older, forget or [])
    if yes:
        prune(named, pruning)
    say(pruning_lines(pruning, named.folder, done=yes))
    if not yes and (pruning.size or pruning.forgotten):
        say(["nothing was changed yet: type the same command with --yes"])


@app.command("export")
def export_archive(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE.zip", help="The file to write.")],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run: only what it uses, from its store.", show_default=False)
    ] = None,
    store: Folder = None,
) -> None:
    """Write entries into one file that another machine can import.

    Damaged entries are named and left out, with exit status 1.
    """
    from lesionbench.experiment.output import named_store
    from lesionbench.report.console import say
    from lesionbench.report.store import exported_lines
    from lesionbench.store.archive import export_entries
    from lesionbench.store.uses import use_of

    named = named_store(run, store)
    names = None if run is None else use_of(named.folder, run).entries
    exported = export_entries(named, archive, names)
    say(exported_lines(exported, archive))
    raise typer.Exit(1 if exported.flaws else 0)


@app.command("import")
def import_entries(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE.zip", help="A file that `store export` wrote.")],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run, whose store is meant.", show_default=False)
    ] = None,
    store: Folder = None,
) -> None:
    """Copy the entries of an exported file into a store.

    What is there already stays as it is, and pruning keeps what came in until the archive is forgotten. Damaged entries
    are named and left out, with exit status 1.
    """
    from lesionbench.experiment.output import named_store
    from lesionbench.report.console import say
    from lesionbench.report.store import imported_lines
    from lesionbench.store.archive import import_archive

    named = named_store(run, store, must_exist=False)
    imported = import_archive(named, archive)
    say(imported_lines(imported, named.folder))
    raise typer.Exit(1 if imported.damaged else 0)
