"""What `lesionbench audit samples` does: measure every pool of a run, draw the closest pairs, count copies an arm."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from lesionbench.audit.stored_pools import stored_pools
from lesionbench.errors import OutputError, SettingsError
from lesionbench.evidence.images.memorisation import ALL, MEMORISATION_COLUMNS, PoolAudit, RealImages, audit_pool
from lesionbench.evidence.images.thumbnails import symmetry
from lesionbench.evidence.images.without_copies import WITHOUT_COPIES_COLUMNS, Counts, without_copies
from lesionbench.experiment.chain import drawing
from lesionbench.experiment.grid import arms
from lesionbench.experiment.output import SETTINGS, refuse_inside, store_folder
from lesionbench.experiment.results import read_results
from lesionbench.experiment.store import write_whole
from lesionbench.pictures.closest import Pair, save_closest
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.leaderboard import as_csv, leaderboard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lesionbench.audit.stored_pools import StoredPool
    from lesionbench.experiment.grid import Cell, PoolJob
    from lesionbench.experiment.results import Results
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.plugins import Plugins

SHOWN = 24  # pairs on a contact sheet
TABLE, LEADERBOARD, PICTURES = "memorisation.csv", "leaderboard_without_copies.csv", "audit"
HEADINGS = {
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
RATES = ("copies_share", "real_copies_share", "authenticity", "share_closer_to_train", "nnaa", "membership_auc")
PERCENT = {*RATES, "sensitivity", "specificity", "balanced_accuracy", "auc"}
Copies = list[np.ndarray[tuple[int], np.dtype[np.bool_]]]  # a class, in the order of drawing: which are copies


def audit_samples(plugins: Plugins, run: Path, out: Path, false_alarms: float) -> None:
    """Write memorisation.csv, leaderboard_without_copies.csv and audit/closest_*.png into `out`, and print the tables.

    Raises SettingsError or OutputError before anything is written.
    """
    if not 0 < false_alarms <= 0.5:
        raise SettingsError(
            f"a false-alarm rate lies above 0 and is 0.5 at most, such as --false-alarms 0.01, not {false_alarms:g}"
        )
    if out.exists() and not out.is_dir():
        raise OutputError(f"the output must be a folder, but {out} is a file; choose another --out")
    results = read_results(run)
    refuse_inside(results.experiment.data, out)
    rows: list[Row] = []
    copies: dict[PoolJob, Copies] = {}
    real: RealImages | None = None
    compared = None
    for stored in stored_pools(run, plugins):
        if real is None or compared is not stored.train:
            compared, real = stored.train, RealImages.of(stored.train, stored.validation, false_alarms)
        found = audit_pool(stored.pool, real, results.experiment.seed)
        rows += _described(stored.job, found)
        copies[stored.job] = [found.copies_of_class(label) for label in range(len(real.classes))]
        save_closest(out / PICTURES / f"closest_{stored.job.name}.png", *_sheet(stored, found, real))
    write_whole(out / TABLE, as_csv(rows, MEMORISATION_COLUMNS))
    kept, left_out = _leaderboard(results, copies)
    write_whole(out / LEADERBOARD, as_csv(kept, WITHOUT_COPIES_COLUMNS))
    _print(rows, kept, left_out, run, results)
    sys.stdout.write(f"{out / TABLE}\n{out / LEADERBOARD}\n{out / PICTURES}\n")


def _described(job: PoolJob, found: PoolAudit) -> list[Row]:
    pool = {"pool": job.name, "augmenter": job.augmenter, "fold": job.fold, "seed": job.seed}
    return [{**pool, **row} for row in found.rows]


def _sheet(stored: StoredPool, found: PoolAudit, real: RealImages) -> tuple[list[Pair], list[str]]:
    """The closest pairs, each real image turned as it lies nearest, and what stands above them."""
    near = found.to_train
    images = np.concatenate(stored.pool.images)
    pairs = []
    for which in np.argsort(near.distance, kind="stable")[:SHOWN]:
        original = stored.train.images[near.index[which]].astype(np.float32)
        turned = symmetry(original[None], int(near.turned[which]))[0].astype(np.uint8)
        pairs.append(Pair(images[which], turned, float(near.distance[which]), bool(found.copies[which])))
    limit = real.threshold.distance
    title = [
        f"{stored.job.name}: the closest of {len(images)} synthetic images, and below each its nearest training image",
        f"under both: their distance (root mean square, of 255 grey levels); red: a copy (< {limit:.1f})",
    ]
    return pairs, title


def _leaderboard(results: Results, copies: Mapping[PoolJob, Copies]) -> tuple[list[Row], list[Row]]:
    """The run's leaderboard with the copies counted, and the arms all of whose images are copies."""
    counts = []
    for arm in arms(results.experiment):
        done = [cell for cell in results.grid if cell.arm == arm and cell.name in results.found]
        counts.append([_counts(cell, copies) for cell in done])
    return without_copies(leaderboard(results.arms()), counts)


def _counts(cell: Cell, copies: Mapping[PoolJob, Copies]) -> Counts:
    """All links of a chain together; shuffled labels change nothing about how many are copies."""
    drawn = list(zip(cell.pools, drawing(cell.arm.draws), strict=True))
    of_links = [np.mean([marks[: draw.per_class].sum() for marks in copies[job]]) for job, draw in drawn]
    return Counts(float(sum(draw.per_class for _, draw in drawn)), float(sum(of_links)))


def _print(rows: list[Row], kept: list[Row], left_out: list[Row], run: Path, results: Results) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    of_pools = [row for row in rows if row["class"] == ALL]
    _print_table(console, "synthetic images and the training images nearest to them", HEADINGS, of_pools)
    for reason in dict.fromkeys(row["reason"] for row in of_pools if row["reason"]):
        console.print(f"note: {reason}", markup=False, soft_wrap=True)
    _print_table(console, "images a class: drawn, copies and new; metrics measured with the copies in", ARMS, kept)
    for line in _remarks(kept, left_out, run, results):
        console.print(line, markup=False, soft_wrap=True)


def _print_table(console: Console, title: str, headings: Mapping[str, str], rows: list[Row]) -> None:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    for name, heading in headings.items():
        text = name in ("pool", "augmenter", "on_the_fly", "classifier")
        table.add_column(heading, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in rows:
        table.add_row(*(_shown(name, row[name]) for name in headings))
    console.print(table, markup=False)


def _shown(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{100 * value:.1f}" if name in PERCENT else f"{value:.1f}"
    return str(value)


def _remarks(kept: list[Row], left_out: list[Row], run: Path, results: Results) -> list[str]:
    """What the second leaderboard says, and what it does not."""
    lines = [
        f"left out, since all its images are copies: {ArmKey.of(row).name} ({row['classifier']})" for row in left_out
    ]
    if not left_out and not any(row["copies_per_class"] for row in kept):
        return ["no synthetic image is a copy by this rule, so the leaderboard stands as it is"]
    store = store_folder(run, results.resolved)
    typed = ["lesionbench", "run", run / SETTINGS, "--controls", "--out", f"{run}-controls", "--store", store]
    lines.append(
        "the metrics were measured with the copies in: nothing was trained again. A copy is a training image once "
        "more, so measure the same arms beside the control `oversample`: " + shlex.join(map(str, typed))
    )
    return lines
