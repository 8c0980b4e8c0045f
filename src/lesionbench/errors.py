"""Every error that lesionbench raises on purpose.

LesionbenchError
├── InputError                what the user gave is wrong: one message, exit status 2, nothing written
│   ├── SettingsError         an unknown plugin or setting, a value out of range
│   ├── PluginError           two plugins of one name, a plugin that cannot be loaded
│   ├── DatasetError          a data folder that is missing, empty, or lacks a class
│   │   └── UnreadableImage   one image file, named
│   ├── SplitError            a group on both sides, too few groups for the folds
│   └── OutputError           an output folder that holds something else, or a damaged file in it
├── ContractError             a plugin broke a promise: its cell fails, the others go on
├── StoreError                a store on another machine that does not answer: what is finished is kept, exit status 1
├── WorkersLost               no task will ever run again: what is finished is kept, exit status 1
├── NotKnown                  a number that the predictions do not determine: the table gives the reason
└── TrainingDiverged          a loss that is not finite: its cell fails, the others go on

A message says the rule, the value, and what to try next. What to try is often a setting, which is written `split=5` in
Python and differently on the command line, so advice is kept apart from the message: see `Try`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[[str, object], str]  # a setting's name and its value, or None, as a person would type them


class Try:
    """What to do about an error: words in which {name} stands for a setting, with its value where one is given.

    `Try("{split} keeps groups apart", split=5)` reads `split=5 keeps groups apart` in Python, and on the command line
    the same with the option that sets the split.
    """

    def __init__(self, words: str, **values: object) -> None:
        self.words = words
        self.values = values

    def written(self, write: Write) -> str:
        """The words, with every setting written by `write`."""
        return re.sub(r"\{(\w+)\}", lambda name: write(name[1], self.values.get(name[1])), self.words)


ANOTHER_OUT = Try("choose another {out}")


def in_python(name: str, value: object) -> str:
    """A setting as an argument of a Python function: `split=5`, or `split` when it has no value."""
    return name if value is None else f"{name}={value if isinstance(value, bool | int | float) else str(value)!r}"


class LesionbenchError(Exception):
    """The base of the tree above: a message, and what to try.

    `str` writes settings as arguments of Python functions, `written` as the caller wants them.
    """

    def __init__(self, message: str = "", *advice: Try) -> None:
        super().__init__(message, *advice)
        self.message = str(message)
        self.advice = advice

    def written(self, write: Write) -> str:
        """The message and the advice, with every setting written by `write`."""
        between = "\n" if "\n" in self.message else "; "
        return between.join([self.message, *(advice.written(write) for advice in self.advice)])

    def __str__(self) -> str:
        return self.written(in_python)


class InputError(LesionbenchError):
    """What the user gave is wrong."""


class SettingsError(InputError):
    """An unknown plugin or setting, or a value out of range."""


class PluginError(InputError):
    """Two plugins of one name, or a plugin that cannot be loaded."""


class DatasetError(InputError):
    """A data folder that cannot be used."""


class UnreadableImage(DatasetError):
    """One image file that cannot be used; the message names it."""


class SplitError(InputError):
    """A division of the images that cannot be made or must not be made."""


class OutputError(InputError):
    """An output folder that cannot be used."""


class ContractError(LesionbenchError):
    """A plugin broke a promise of its contract."""


class TrainingDiverged(LesionbenchError):
    """A loss or a parameter stopped being a finite number."""


class StoreError(LesionbenchError):
    """A store on another machine does not answer or refuses; what is finished is kept on this one."""


class WorkersLost(LesionbenchError):
    """The place where tasks run is gone; what is finished is kept."""


class NotKnown(LesionbenchError):
    """A number that the predictions do not determine; the message becomes the reason in a table's row."""
