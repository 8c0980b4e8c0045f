"""How a check reports that a promise is broken or does not apply."""

from __future__ import annotations

from unittest import SkipTest


class Skipped(SkipTest):  # not an error; pytest reports every unittest.SkipTest as a skip
    """The promise does not apply to this plugin; the message says why."""


def require(kept: bool, message: str) -> None:
    """Raise AssertionError with the message unless the promise is kept; also under `python -O`."""
    if not kept:
        raise AssertionError(message)
