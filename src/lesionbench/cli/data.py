"""`lesionbench data`."""

import typer

app = typer.Typer(help="Datasets.")


@app.command()
def list() -> None:
    """Being written."""
