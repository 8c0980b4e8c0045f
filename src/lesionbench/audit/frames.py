"""The rows of an audit as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from lesionbench.pipeline.leaderboard import Row


def as_frame(rows: Iterable[Row], columns: Sequence[str]) -> pd.DataFrame:
    """The rows with the columns of the CSV file; what is not known is NA."""
    import pandas as pd  # slow to import, and the command line needs none of it

    return pd.DataFrame(list(rows), columns=list(columns)).convert_dtypes()
