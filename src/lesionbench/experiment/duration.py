"""Durations as people write them: `90s`, `30m`, `2h`, or a number of seconds."""

from __future__ import annotations

import math
import re

from lesionbench.errors import SettingsError, Try

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = 366 * 86400  # seconds; what waits for events knows no longer times on every system


def seconds_of(duration: str | float) -> float:
    """A duration in seconds; raises SettingsError unless it is positive, at most a year, and so written."""
    found = re.fullmatch(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([smhd]?)\s*", str(duration))
    wrong = isinstance(duration, bool) or found is None
    seconds = math.nan if wrong or found is None else float(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= LONGEST:
        raise SettingsError(
            f"a time limit is a duration such as 90s, 30m or 2h, at most a year, not {str(duration)!r:.60}",
            Try("try {timeout}", timeout="30m"),
        )
    return seconds
