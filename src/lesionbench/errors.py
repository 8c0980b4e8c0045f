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
├── NotKnown                  a number that the predictions cannot tell: a table's row gives the reason
└── TrainingDiverged          a loss that is not finite: its cell fails, the others go on

A message says the rule, the value, and what to type next.
"""

from __future__ import annotations


class LesionbenchError(Exception):
    """The base of the tree above."""


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


class NotKnown(LesionbenchError):
    """A number that the predictions cannot tell; it becomes the reason in a table's row."""
