"""Running the checks of a plugin and saying how each ended."""

from __future__ import annotations

import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Literal

from lesionbench.testing.contract import checks_for
from lesionbench.testing.require import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Kind
    from lesionbench.testing.contract import Check

Status = Literal["ok", "FAILED", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """How one check ended, and why where it is not ok."""

    promise: str  # in words
    status: Status
    reason: str


def run_checks(kind: Kind, plugin_class: type[Plugin], root: Path | None = None) -> Iterator[Outcome]:
    """The outcome of every check of a plugin, as it ends; whatever the plugin raises is a failure.

    root: the folder that a dataset loads from; without it, the checks that read files are skipped.
    """
    for check in checks_for(kind, root):
        status, reason = _outcome(check, plugin_class)
        yield Outcome(check.__name__.removeprefix("check_").replace("_", " "), status, reason)


def _outcome(check: Check, plugin_class: type[Plugin]) -> tuple[Status, str]:
    try:
        # One check judges what a plugin prints; the other checks keep it off the screen.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings(action="ignore"):
            check(plugin_class)
    except Skipped as reason:
        return "skipped", str(reason)
    except AssertionError as broken:
        return "FAILED", str(broken) or "AssertionError"
    except Exception as error:  # a plugin may raise anything, and a traceback never shows
        return "FAILED", f"{type(error).__name__}: {error}"
    return "ok", ""
