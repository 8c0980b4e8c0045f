"""A run as a notebook shows it: the answer in a sentence for each arm, then the leaderboard."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from lesionbench.errors import InputError
from lesionbench.plain_text import visible

if TYPE_CHECKING:
    from lesionbench.api.run_folder import Run

SHOWN = ("augmenter", "synthetic_per_class", "on_the_fly", "classifier")
RATES = ("sensitivity", "specificity", "balanced_accuracy", "accuracy", "auc", "f1")


def run_as_html(run: Run) -> str:
    """The whole of it; every name is escaped, for a class or a folder may be called anything."""
    try:
        parts = [*_answer(run), _leaderboard(run.leaderboard)]
    except InputError as error:  # nothing is measured yet
        parts = [f"<p>{escape(str(error))}</p>"]
    title = f"<p><b>{escape(str(run.folder))}</b>: {escape(run.progress)}</p>"
    return visible("\n".join(["<div>", title, *parts, "</div>"]))


def _answer(run: Run) -> list[str]:
    """What every arm does to the metric that the verdicts are about, in percentage points."""
    verdicts = run.verdicts
    if verdicts.empty:
        return ["<p>no arm was compared with the baseline</p>"]
    several = verdicts["classifier"].nunique() > 1
    settings = run.settings
    heading = f"Against {escape(settings.baseline)}, judged by {escape(settings.judged_by)}:"
    return [f"<p>{heading}</p>", "<ul>", *(_sentence(row, several) for _, row in verdicts.iterrows()), "</ul>"]


def _sentence(row: pd.Series[Any], several: bool) -> str:
    arm = row["arm"] + (f" with {row['classifier']}" if several else "")
    details = [] if pd.isna(row["difference"]) else [f"{100 * row['difference']:+.2f} points"]
    if pd.notna(row["low"]):
        details.append(f"95% interval {100 * row['low']:+.2f} to {100 * row['high']:+.2f}")
    if pd.notna(row["reason"]):
        details.append(row["reason"])
    return f"<li><b>{escape(arm)}: {escape(row['verdict'])}</b> ({escape('; '.join(details))})</li>"


def _leaderboard(board: pd.DataFrame) -> str:
    """Rates in percent with their intervals; columns in which every row is the same are left out."""
    shown = pd.DataFrame(
        {name: board[name].astype("string") for name in SHOWN if name in SHOWN[:2] or board[name].nunique() > 1}
    )
    for name in RATES:
        shown[f"{name.replace('_', ' ')} %"] = [_rate(row, name) for _, row in board.iterrows()]
    shown["seeds"] = board["seeds"]
    shown = shown.rename(columns={"synthetic_per_class": "dose", "on_the_fly": "on the fly"})
    table: str = shown.to_html(index=False, escape=True, na_rep="-", border=0)
    return table


def _rate(row: pd.Series[Any], name: str) -> str:
    if pd.isna(row[name]):
        return "-"
    ends = "" if pd.isna(row[f"{name}_low"]) else f" ({100 * row[f'{name}_low']:.1f}-{100 * row[f'{name}_high']:.1f})"
    return f"{100 * row[name]:.2f}{ends}"
