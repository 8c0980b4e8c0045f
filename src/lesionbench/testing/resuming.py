"""A fit that is killed after each time it saves its state, and goes on from there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from lesionbench.pipeline.context import RunContext, SavedState
from lesionbench.testing.require import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

KILLS = 5  # at most; then the fit is left in peace

Fitted = TypeVar("Fitted")


class Killed(BaseException):
    """Ends a fit like a signal: `except Exception` does not see it."""


class KillingCheckpoint:
    """A checkpoint in memory that is always due, and kills the fit as soon as it has saved."""

    def __init__(self) -> None:
        self.state: SavedState | None = None
        self.kills = 0

    def load(self) -> SavedState | None:
        """The last state."""
        return self.state

    def due(self) -> bool:
        """Always, until it has killed the fit KILLS times."""
        return self.kills < KILLS

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], values: Any = None) -> None:
        """Keep copies, as a file would, and raise Killed."""
        if self.due():
            copies = {name: array.copy() for name, array in arrays.items()}
            self.state = SavedState(step, copies, json.loads(json.dumps(values)))
            self.kills += 1
            raise Killed


def killed_and_resumed(fit: Callable[[RunContext], Fitted], context: RunContext) -> Fitted:
    """What a fit returns that is killed after each of its first saves; raises Skipped if it never saves its state."""
    checkpoint = KillingCheckpoint()
    while True:
        try:
            fitted = fit(replace(context, checkpoint=checkpoint))
        except Killed:
            continue
        if not checkpoint.kills:
            raise Skipped("it does not use context.checkpoint, so a fit that is killed starts anew")
        return fitted
