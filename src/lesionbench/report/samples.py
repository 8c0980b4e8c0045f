"""The audit of synthetic images on the screen: how near they are to training images, and the arms without copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.errors import Try, in_python
from lesionbench.evidence.images.memorisation import ALL
from lesionbench.experiment.output import SETTINGS
from lesionbench.pipeline.arm import ArmKey
from lesionbench.report.console import open_console, print_lines, print_table
from lesionbench.report.words import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from lesionbench.audit.samples import SamplesAudit
    from lesionbench.errors import Write
    from lesionbench.pipeline.leaderboard import Row

POOLS = {
    "pool": "pool",
    "n": "images",
    "copies": "copies",
    "exact_copies": "exact",
    "copies_share": "copies %",
    "real_copies_share": "real %",
    "distance_median": "median",
    "real_distance_median": "real median",
    "authenticity": "authentic %",
    "share_closer_to_train": "to train %",
    "nnaa": "NNAA %",
    "membership_auc": "member AUC %",
}
ARMS = {
    "augmenter": "augmenter",
    "synthetic_per_class": "dose",
    "on_the_fly": "on the fly",
    "classifier": "classifier",
    "drawn_per_class": "drawn",
    "copies_per_class": "copies",
    "new_per_class": "new",
    "sensitivity": "sens %",
    "specificity": "spec %",
    "balanced_accuracy": "bal acc %",
    "auc": "AUC %",
}
TEXTS = ("pool", "augmenter", "on_the_fly", "classifier")
RATES = ("copies_share", "real_copies_share", "authenticity", "share_closer_to_train", "nnaa", "membership_auc")
PERCENT = {*RATES, "sensitivity", "specificity", "balanced_accuracy", "auc"}


def print_samples(audit: SamplesAudit, write: Write = in_python) -> None:
    """Print the pools, the leaderboard with the copies counted, and what they mean; `write` writes settings."""
    console = open_console(200)
    pools = [row for row in audit.pool_rows if row["class"] == ALL]
    _print(console, "synthetic images and the training images nearest to them", POOLS, pools)
    print_lines(console, [f"note: {reason}" for reason in dict.fromkeys(row["reason"] for row in pools) if reason])
    title = "images per class: drawn, copies and new; metrics measured with the copies in"
    _print(console, title, ARMS, audit.arm_rows)
    print_lines(console, _remarks(audit, write))


def _print(console: Console, title: str, headings: Mapping[str, str], rows: Sequence[Row]) -> None:
    cells = [[shown(row[name], 1, percent=name in PERCENT) for name in headings] for row in rows]
    left = [index for index, name in enumerate(headings) if name in TEXTS]
    print_table(console, title, list(headings.values()), cells, left=left, fold_numbers=False)


def _remarks(audit: SamplesAudit, write: Write) -> list[str]:
    """What the second leaderboard says, and what it does not."""
    lines = [
        f"left out, since all its images are copies: {ArmKey.of(row).name} ({row['classifier']})"
        for row in audit.arms_of_copies
    ]
    if not lines and not any(row["copies_per_class"] for row in audit.arm_rows):
        return ["no synthetic image is a copy by this rule, so the leaderboard stands as it is"]
    again = Try(
        f"lesionbench run {audit.run / SETTINGS} {{controls}} {{out}} {{store}}",
        controls=True,
        out=f"{audit.run}-controls",
        store=audit.store,
    )
    lines.append(
        "the metrics were measured with the copies in: nothing was trained again. A copy is a training image once "
        f"more, so measure the same arms beside the control `oversample`: {again.written(write)}"
    )
    return lines
