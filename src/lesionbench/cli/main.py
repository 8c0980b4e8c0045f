"""The `lesionbench` command."""

from __future__ import annotations

import typer

app = typer.Typer()


def main() -> None:
    """Run the command line."""
    app()
