"""What `lesionbench audit fidelity` does: measure every pool of a run beside its fold's real images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from lesionbench.audit.extractors import file_extractor, predictor_extractor
from lesionbench.audit.stored_pools import bench_of_run, stored_pools
from lesionbench.errors import OutputError
from lesionbench.evidence.images.fidelity import ALL, FIDELITY_COLUMNS, SyntheticPool, fidelity_rows
from lesionbench.evidence.images.fidelity_samples import Extractor, Roles, kid_subset, real_side
from lesionbench.experiment.output import refuse_inside
from lesionbench.experiment.results import read_results
from lesionbench.experiment.store import write_whole
from lesionbench.pipeline.leaderboard import as_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lesionbench.evidence.images.fidelity_samples import RealSide
    from lesionbench.experiment.results import Results
    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.plugins import Plugins

TABLE = "fidelity.csv"
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
DECIMALS = {"swd": 1, "swd_floor": 1}  # of the others 3


def audit_fidelity(plugins: Plugins, run: Path, out: Path, features: Path | None, seed: int) -> None:
    """Write fidelity.csv into `out`, and print what it says of all classes together.

    features: a file with a network (see file_extractor); None: the run's baseline classifier of each fold.
    Raises SettingsError or OutputError before anything is written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"the output must be a folder, but {out} is a file; choose another --out")
    results = read_results(run)
    refuse_inside(results.experiment.data, out)
    extractor_of = _extractors(plugins, run, results, features)
    subset = _subset(plugins, run)
    rows: list[Row] = []
    real: RealSide | None = None
    compared: LabelledImages | None = None
    for stored in stored_pools(run, plugins):
        job = stored.job
        if real is None or compared is not stored.train:
            compared = stored.train
            real = real_side(stored.train, stored.validation, job.fold, extractor_of(job.fold), seed)
        pool = SyntheticPool(job.name, job.augmenter, job.fold, job.seed, stored.pool.images)
        rows += fidelity_rows(pool, real, subset, seed)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / TABLE, as_csv(rows, FIDELITY_COLUMNS))
    _print([row for row in rows if row["class"] == ALL])
    sys.stdout.write(f"{out / TABLE}\n")


def _extractors(
    plugins: Plugins, run: Path, results: Results, features: Path | None
) -> Callable[[int], Extractor | str]:
    """What gives the features of a fold: the network in the file, or the fold's first baseline classifier that can."""
    if features is not None:
        of_file = file_extractor(features)
        return lambda _: of_file
    bench = bench_of_run(run, results, plugins)

    def of_fold(fold: int) -> Extractor | str:
        found: Extractor | str = "the run has no baseline on this fold"
        for cell in results.grid:
            if cell.is_reference and cell.fold == fold:
                found = predictor_extractor(cell.arm.classifier, bench.predictor(cell))
                if isinstance(found, Extractor):
                    return found
        return found

    return of_fold


def _subset(plugins: Plugins, run: Path) -> int:
    """The size of every KID subset of the run: its smallest comparison decides."""
    sizes: list[int] = []
    for stored in stored_pools(run, plugins):
        roles = Roles.of(_counts(stored.train), _counts(stored.validation))
        sizes += roles.sizes([len(images) for images in stored.pool.images])
    return kid_subset(sizes)


def _counts(images: LabelledImages) -> list[int]:
    return [int((images.labels == label).sum()) for label in range(len(images.classes))]


def _print(rows: list[Row]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    table = Table(
        box=box.SIMPLE_HEAD,
        title="synthetic images beside real ones; floor: training images in their place",
        title_justify="left",
        title_style="",
    )
    for name, heading in HEADINGS.items():
        table.add_column(heading, justify="left" if name == "pool" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(name, row[name]) for name in HEADINGS))
    console.print(table, markup=False)
    for line in _remarks(rows):
        console.print(line, markup=False, soft_wrap=True)


def _shown(name: str, value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.{DECIMALS.get(name, 3)}f}" if isinstance(value, float) else str(value)


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
