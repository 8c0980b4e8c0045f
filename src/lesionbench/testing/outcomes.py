"""Running the checks of a plugin or an executor and saying how each ended."""

from __future__ import annotations

import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Literal

from lesionbench.testing.contract import checks_for, executor_checks
from lesionbench.testing.require import Skipped
from lesionbench.workers.executors import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Kind
    from lesionbench.testing.contract import Check
    from lesionbench.workers.executors import Executor

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
    return _outcomes(checks_for(kind, root), plugin_class)


def run_executor_checks(executor: Executor) -> Iterator[Outcome]:
    """The outcome of every check of an executor, as it ends; raises SettingsError if it cannot be used here."""
    executor.check(Needs())
    return _outcomes(executor_checks(), executor)


def _outcomes(checks: Iterable[Check], checked: Any) -> Iterator[Outcome]:
    for check in checks:
        status, reason = _outcome(check, checked)
        yield Outcome(check.__name__.removeprefix("check_").replace("_", " "), status, reason)


def _outcome(check: Check, checked: Any) -> tuple[Status, str]:
    try:
        # One check judges what a plugin prints; the other checks keep it off the screen.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings(action="ignore"):
            check(checked)
    except Skipped as reason:
        return "skipped", str(reason)
    except AssertionError as broken:
        return "FAILED", str(broken) or "AssertionError"
    except Exception as error:  # a plugin may raise anything, and a traceback never shows
        return "FAILED", f"{type(error).__name__}: {error}"
    return "ok", ""
