"""The rows of an audit as a pandas DataFrame, and as a page for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lesionbench.plain_text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from lesionbench.pipeline.leaderboard import Row


def as_frame(rows: Iterable[Row], columns: Sequence[str]) -> pd.DataFrame:
    """The rows with the columns of the CSV file; what is not known is NA."""
    import pandas as pd  # slow to import, and the command line needs none of it

    return pd.DataFrame(list(rows), columns=list(columns)).convert_dtypes()


def as_html(title: str, *frames: pd.DataFrame) -> str:
    """What a notebook shows of an audit: one sentence and its tables; nothing in them is taken for markup."""
    tables = [frame.to_html(index=False, float_format="{:.3f}".format) for frame in frames if len(frame)]
    return visible("".join([f"<p>{escape(title.strip('<>'))}</p>", *tables]))
