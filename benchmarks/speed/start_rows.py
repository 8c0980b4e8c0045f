"""How long a person waits when there is nothing to compute: whole processes, Python's own start beside ours."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pairs import Options, Row, Sides, cost_of_command

if TYPE_CHECKING:
    from collections.abc import Iterator

LESIONBENCH = (sys.executable, "-m", "lesionbench")
# The arms and the seeds of the KTH experiment with few steps: what is looked at afterwards does not depend on them.
KTH = ("run", "--augmenter", "dcgan[steps=2]", "--synthetic", "120,480", "--classifier", "kth-cnn[steps=2]")
KTH = (*KTH, "--dataset", "skin-phantom[train=2637,test=660]", "--out", "o", "--quiet")


@contextmanager
def only_looks(command: str, _: Options) -> Iterator[Sides]:
    """A command in an empty folder."""
    with TemporaryDirectory() as folder:
        yield _beside_python(Path(folder), command)


@contextmanager
def finished_kth(command: tuple[str, ...], _: Options) -> Iterator[Sides]:
    """A command on the finished KTH experiment."""
    yield _beside_python(Path(_finished().name), *command)


@cache
def _finished() -> TemporaryDirectory[str]:
    """The folder in which the KTH experiment is finished; removed when the program ends."""
    made = TemporaryDirectory()
    cost_of_command([*LESIONBENCH, *KTH], Path(made.name))
    return made


def _beside_python(folder: Path, *command: str) -> Sides:
    cost_of_command([*LESIONBENCH, *command], folder)  # the first time, Python may have to compile modules
    return Sides(
        lambda: cost_of_command([*LESIONBENCH, *command], folder),
        lambda: cost_of_command([sys.executable, "-c", ""], folder),
    )


SAYS = "`python -c ''`: the start of Python alone, below which no command can be"
ROWS = [
    Row("help", "`lesionbench --help`", "s", SAYS, partial(only_looks, "--help"), limit=True),
    Row("plugins", "`lesionbench plugins`", "s", SAYS, partial(only_looks, "plugins"), limit=True),
    Row("finished-kth", "the finished KTH experiment, run again", "s", SAYS, partial(finished_kth, KTH), limit=True),
    Row(
        "leaderboard",
        "`lesionbench leaderboard` of it",
        "s",
        SAYS,
        partial(finished_kth, ("leaderboard", "o")),
        limit=True,
    ),
]
