"""`lesionbench check`: does a plugin or an executor keep its contract?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin or executor to check.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder that holds a dataset's files.")] = None,
) -> None:
    """Check that a plugin or an executor keeps its contract.

    Prints a line for each check; exit status 1 when one fails.
    """
    from lesionbench.experiment.data_folder import data_for_checks
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.testing.outcomes import run_checks, run_executor_checks
    from lesionbench.workers.entry_points import Executors

    executors = Executors.load()
    if executors.has(name):
        checked = [(f"executor {name}", run_executor_checks(executors.make(name)))]
    else:
        checked = [
            (f"{one.kind} {one.name}  ({one.package})", run_checks(one.kind, one.cls, data_for_checks(one, data)))
            for one in Plugins.load().named(name)
        ]
    counts: Counter[str] = Counter()
    for heading, outcomes in checked:
        say([heading])
        for outcome in outcomes:
            counts[outcome.status] += 1
            say([f"  {outcome.status:<7}  {outcome.promise}{': ' if outcome.reason else ''}{outcome.reason}"])
    say([f"{name}: {counts['ok']} ok, {counts['FAILED']} failed, {counts['skipped']} skipped"])
    if counts["FAILED"]:
        raise typer.Exit(1)
