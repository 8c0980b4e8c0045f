"""`lesionbench check`: does a plugin keep its contract?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin to check.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder that holds a dataset's files.")] = None,
) -> None:
    """Check that a plugin keeps its contract.

    Prints a line for each check; exit status 1 when one fails.
    """
    from lesionbench.experiment.data_folder import data_for_checks
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.testing.outcomes import run_checks

    counts: Counter[str] = Counter()
    for found in Plugins.load().named(name):
        say([f"{found.kind} {found.name}  ({found.package})"])
        for outcome in run_checks(found.kind, found.cls, data_for_checks(found, data)):
            counts[outcome.status] += 1
            say([f"  {outcome.status:<7}  {outcome.promise}{': ' if outcome.reason else ''}{outcome.reason}"])
    say([f"{name}: {counts['ok']} ok, {counts['FAILED']} failed, {counts['skipped']} skipped"])
    if counts["FAILED"]:
        raise typer.Exit(1)
