"""What every fit promises about its reports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lesionbench.testing.require import require

if TYPE_CHECKING:
    from lesionbench.testing.fixtures import Reports


def require_sound_reports(reports: Reports) -> None:
    """Raise AssertionError unless every step lies within its total and every scalar is a finite number."""
    for step, total, scalars in reports.rows:
        require(0 <= step <= total, f"report(step, total) needs 0 <= step <= total, but got step {step} of {total}")
        for name, value in scalars.items():
            finite = isinstance(value, int | float) and math.isfinite(value)
            require(finite, f"report needs finite numbers, but {name} is {value!r} at step {step}; pass float(value)")
