"""The audit of fidelity on the screen: every pool beside what real images score in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.evidence.images.fidelity import ALL
from lesionbench.report.console import open_console, print_lines, print_table
from lesionbench.report.words import shown

if TYPE_CHECKING:
    from lesionbench.audit.fidelity import FidelityAudit
    from lesionbench.pipeline.leaderboard import Row

TITLE = "synthetic images beside real ones; floor: training images in their place"
HEADINGS = {
    "pool": "pool",
    "n": "images",
    "kid": "KID",
    "kid_floor": "floor",
    "precision": "precision",
    "precision_floor": "floor",
    "recall": "recall",
    "recall_floor": "floor",
    "coverage": "coverage",
    "coverage_floor": "floor",
    "ms_ssim": "MS-SSIM",
    "ms_ssim_real": "real",
    "swd": "SWD",
    "swd_floor": "floor",
}
DECIMALS = {"swd": 1, "swd_floor": 1}  # of all others 3


def print_fidelity(audit: FidelityAudit) -> None:
    """Print a row for each pool, all classes together, and what must be known to read it."""
    rows = [row for row in audit.rows if row["class"] == ALL]
    cells = [[shown(row[name], DECIMALS.get(name, 3)) for name in HEADINGS] for row in rows]
    console = open_console(200)
    print_table(console, TITLE, list(HEADINGS.values()), cells, left=(0,))
    print_lines(console, _remarks(rows))


def _remarks(rows: list[Row]) -> list[str]:
    """Whose features they are, what they were compared with, and why some are missing."""
    extractors = sorted({str(row["extractor"]) for row in rows if row["extractor"]})
    lines = [f"features of {', '.join(extractors)}"] if extractors else []
    if any(row["reference"] == "training" for row in rows):
        lines.append(
            "note: with fewer than 50 validation images of a class, images are compared with training images, which "
            "copies of them would resemble most; see: lesionbench audit samples"
        )
    reasons = dict.fromkeys(str(row["reason"]) for row in rows if row["reason"])
    return [*lines, *(f"note: {reason}" for reason in reasons)]
