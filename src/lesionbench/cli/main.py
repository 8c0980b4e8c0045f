"""The `lesionbench` command: every error of ours becomes one message and exit status 2."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lesionbench.cli.audit import app as audit
from lesionbench.cli.cancel import cancel
from lesionbench.cli.check import check
from lesionbench.cli.data import app as data
from lesionbench.cli.explain import explain
from lesionbench.cli.jobs import jobs
from lesionbench.cli.leaderboard import leaderboard
from lesionbench.cli.merge import merge
from lesionbench.cli.options import typed
from lesionbench.cli.plan import plan
from lesionbench.cli.plugins import plugins
from lesionbench.cli.reproduce import reproduce
from lesionbench.cli.run import run
from lesionbench.cli.signals import INTERRUPTED, ended_by_signals
from lesionbench.cli.store import app as store
from lesionbench.cli.work import work
from lesionbench.errors import InputError, LesionbenchError
from lesionbench.plain_text import visible

COMMANDS = (
    "run",
    "plan",
    "leaderboard",
    "explain",
    "cancel",
    "reproduce",
    "merge",
    "jobs",
    "work",
    "audit",
    "data",
    "store",
    "plugins",
    "check",
)  # in the order people need them

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
ROOM = "; make room on the disk of the output, the store or temporary files: what is finished is kept"


class InOrder(TyperGroup):
    """The commands in our order; typer would list groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return sorted(super().list_commands(ctx), key=COMMANDS.index)


app = typer.Typer(
    name="lesionbench",
    cls=InOrder,
    help="Does this augmentation help a classifier on my small medical image set, and how many images should I add?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (run, plan, leaderboard, explain, cancel, reproduce, merge, jobs, work, plugins, check):
    app.command()(command)
app.add_typer(audit, name="audit")
app.add_typer(data, name="data")
app.add_typer(store, name="store")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # takes 40 ms

        typer.echo(f"lesionbench {version('lesionbench')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options of `lesionbench` itself."""


def main() -> None:
    """Run the command line and exit with its status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `>&-`; the next file that is opened would get its number
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # until the process ends
        getattr(sys, name).reconfigure(errors="backslashreplace")  # no character may stop a message
    with ended_by_signals():
        _main()


def _main() -> None:
    try:
        app()
    except InputError as error:
        _say(error)
        sys.exit(2)
    except LesionbenchError as error:
        _say(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\nlesionbench: stopped\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written, a file that vanished
        advice = ROOM if error.errno in FULL else ""
        sys.stderr.write(visible(f"lesionbench: the system refuses: {error}{advice}\n"))
        sys.exit(2)
    except MemoryError:
        sys.stderr.write("lesionbench: the memory is not enough; use smaller images or less --jobs\n")
        sys.exit(2)


def _say(error: LesionbenchError) -> None:
    sys.stderr.write(visible(f"lesionbench: {error.written(typed)}\n"))
