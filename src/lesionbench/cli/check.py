"""`lesionbench check`: does a plugin keep its contract?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from lesionbench.plugins import Found
    from lesionbench.testing import Check

Outcome = Literal["ok", "FAILED", "skipped"]


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin to check.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of a dataset that reads files.")] = None,
) -> None:
    """Check that a plugin keeps its contract.

    Prints a line for each check; exit status 1 when one fails.
    """
    from lesionbench.plugins import Plugins
    from lesionbench.testing import checks_for

    counts: dict[Outcome, int] = {"ok": 0, "FAILED": 0, "skipped": 0}
    for found in Plugins.load().named(name):
        _say(f"{found.kind} {found.name}  ({found.package})")
        root = _root(found, data)
        for one in checks_for(found.kind, root):
            outcome, reason = run_check(one, found)
            counts[outcome] += 1
            sentence = one.__name__.removeprefix("check_").replace("_", " ")
            _say(f"  {outcome:<7}  {sentence}{': ' if reason else ''}{reason}")
    _say(f"{name}: {counts['ok']} ok, {counts['FAILED']} failed, {counts['skipped']} skipped")
    if counts["FAILED"]:
        raise typer.Exit(1)


def run_check(one: Check, found: Found) -> tuple[Outcome, str]:
    """How one check of a plugin ends, and why when it is not well; whatever the plugin raises is a failure."""
    import warnings
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from lesionbench.testing import Skipped

    try:
        # One check judges what a plugin prints; the other checks keep it off the screen.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings(action="ignore"):
            one(found.cls)
    except Skipped as reason:
        return "skipped", str(reason)
    except AssertionError as broken:
        return "FAILED", str(broken) or "AssertionError"
    except Exception as error:  # a plugin may raise anything, and a traceback never shows
        return "FAILED", f"{type(error).__name__}: {error}"
    return "ok", ""


def _root(found: Found, data: Path | None) -> Path | None:
    """The folder to load a dataset from: `--data`, else the first usual place that exists, else None."""
    from lesionbench.errors import SettingsError
    from lesionbench.experiment.data_folder import usual_places

    if found.kind != "dataset" or not getattr(found.cls, "needs_data", True):
        return None
    if data is None:
        return next(filter(Path.is_dir, usual_places(found.name)), None)
    if not data.is_dir():
        raise SettingsError(f"--data must be an existing folder, not {data}")
    return data


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
