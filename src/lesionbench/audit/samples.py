"""The audit of synthetic images: which are copies of training images, and what that means for the leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.audit.frames import as_frame, as_html
from lesionbench.audit.stored_pools import stored_pools
from lesionbench.errors import SettingsError, Try
from lesionbench.evidence.images.memorisation import (
    ALL,
    FALSE_ALARMS,
    MEMORISATION_COLUMNS,
    PoolAudit,
    RealImages,
    audit_pool,
)
from lesionbench.evidence.images.thumbnails import symmetry
from lesionbench.evidence.images.without_copies import WITHOUT_COPIES_COLUMNS, Counts, without_copies
from lesionbench.experiment.chain import drawing
from lesionbench.experiment.grid import arms
from lesionbench.experiment.output import refuse_file, refuse_inside, store_address
from lesionbench.experiment.results import read_results
from lesionbench.pictures.closest import Pair, save_closest
from lesionbench.pipeline.leaderboard import as_csv, leaderboard
from lesionbench.store.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from lesionbench.audit.stored_pools import StoredPool
    from lesionbench.experiment.grid import Cell, PoolJob
    from lesionbench.experiment.results import Results
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.plugins import Plugins

SHOWN = 24  # pairs on a contact sheet
TABLE, LEADERBOARD, PICTURES = "memorisation.csv", "leaderboard_without_copies.csv", "audit"
Copies = list["NDArray[np.bool_]"]  # for each class, in the order of drawing: which images are copies


@dataclass(frozen=True)
class Sheet:
    """The closest pairs of a pool, and what stands above them."""

    pool: str
    title: tuple[str, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, eq=False, repr=False)
class SamplesAudit:
    """What an audit of a run's synthetic images found, with rates as fractions."""

    run: Path
    store: str  # the address of the run's store
    pool_rows: tuple[Row, ...]  # for each pool and class, and all classes
    arm_rows: tuple[Row, ...]  # the leaderboard, with the numbers of copies and of new images
    arms_of_copies: tuple[Row, ...]  # the arms that are left out, since all their images are copies
    sheets: tuple[Sheet, ...]

    @property
    def pools(self) -> pd.DataFrame:
        """Copies, distances and what they say, for each pool and class: memorisation.csv."""
        return as_frame(self.pool_rows, MEMORISATION_COLUMNS)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The leaderboard with the copies counted: leaderboard_without_copies.csv."""
        return as_frame(self.arm_rows, WITHOUT_COPIES_COLUMNS)

    def __repr__(self) -> str:
        pools = self.pools[self.pools["class"] == ALL]
        copies, images = pools["copies"].sum(), pools["n"].sum()
        return f"<SamplesAudit of {str(self.run)!r}: {copies} of {images} synthetic images are copies>"

    def _repr_html_(self) -> str:
        return as_html(repr(self), self.pools, self.leaderboard)

    def write(self, folder: str | Path) -> list[Path]:
        """Write both tables and a contact sheet for each pool; returns the tables and the folder of the sheets."""
        folder = Path(folder)
        for sheet in self.sheets:
            save_closest(folder / PICTURES / f"closest_{sheet.pool}.png", sheet.pairs, sheet.title)
        write_whole(folder / TABLE, as_csv(list(self.pool_rows), MEMORISATION_COLUMNS))
        write_whole(folder / LEADERBOARD, as_csv(list(self.arm_rows), WITHOUT_COPIES_COLUMNS))
        return [folder / TABLE, folder / LEADERBOARD, folder / PICTURES]


def audit_samples(
    run: Path, plugins: Plugins, *, false_alarms: float = FALSE_ALARMS, out: Path | None = None
) -> SamplesAudit:
    """Find the synthetic images of a run that are copies of training images.

    Distances to the nearest training image are compared with those of held-out real images.
    false_alarms: how often a new real image may be called a copy, above 0 and at most 0.5.
    out: the folder that the audit is to be written to: checked before anything is measured.
    Raises SettingsError, or OutputError where `run` holds no run or its pools are no longer in the store.
    """
    if not isinstance(false_alarms, Real) or not 0 < false_alarms <= 0.5:
        raise SettingsError(
            f"a false-alarm rate lies above 0 and is 0.5 at most, not {false_alarms!r}",
            Try("try {false_alarms}", false_alarms=FALSE_ALARMS),
        )
    results = read_results(run)
    if out is not None:
        refuse_file(out)
        refuse_inside(results.experiment.data, out)
    pool_rows: list[Row] = []
    copies: dict[PoolJob, Copies] = {}
    sheets: list[Sheet] = []
    real: RealImages | None = None
    compared = None
    for stored in stored_pools(run, plugins):
        if real is None or compared is not stored.train:
            compared, real = stored.train, RealImages.of(stored.train, stored.validation, false_alarms)
        found = audit_pool(stored.pool, real, results.experiment.seed)
        pool_rows += _described(stored.job, found)
        copies[stored.job] = [found.copies_of_class(label) for label in range(len(real.classes))]
        sheets.append(_sheet(stored, found, real))
    kept, left_out = _leaderboard(results, copies)
    store = store_address(run, results.resolved)
    return SamplesAudit(run, store, tuple(pool_rows), tuple(kept), tuple(left_out), tuple(sheets))


def _described(job: PoolJob, found: PoolAudit) -> list[Row]:
    pool = {"pool": job.name, "augmenter": job.augmenter, "fold": job.fold, "seed": job.seed}
    return [{**pool, **row} for row in found.rows]


def _sheet(stored: StoredPool, found: PoolAudit, real: RealImages) -> Sheet:
    """The closest pairs, each real image turned as it lies nearest."""
    near = found.to_train
    images = np.concatenate(stored.pool.images)
    pairs = []
    for which in np.argsort(near.distance, kind="stable")[:SHOWN]:
        original = stored.train.images[near.index[which]].astype(np.float32)
        turned = symmetry(original[None], int(near.turned[which]))[0].astype(np.uint8)
        pairs.append(Pair(images[which].copy(), turned, float(near.distance[which]), bool(found.copies[which])))
    limit = real.threshold.distance
    title = (
        f"{stored.job.name}: the closest of {len(images)} synthetic images, and below each its nearest training image",
        f"under both: their distance (root mean square, of 255 grey levels); red: a copy (< {limit:.1f})",
    )
    return Sheet(stored.job.name, title, tuple(pairs))


def _leaderboard(results: Results, copies: Mapping[PoolJob, Copies]) -> tuple[list[Row], list[Row]]:
    """The run's leaderboard with the copies counted, and the arms all of whose images are copies."""
    counts = []
    for arm in arms(results.experiment):
        done = [cell for cell in results.grid if cell.arm == arm and cell.name in results.found]
        counts.append([_counts(cell, copies) for cell in done])
    return without_copies(leaderboard(results.arms()), counts)


def _counts(cell: Cell, copies: Mapping[PoolJob, Copies]) -> Counts:
    """The images and copies per class of all links of a chain; shuffled labels make no difference."""
    links = list(zip(cell.pools, drawing(cell.arm.draws), strict=True))
    copies_of_links = [np.mean([marks[: draw.per_class].sum() for marks in copies[job]]) for job, draw in links]
    return Counts(float(sum(draw.per_class for _, draw in links)), float(sum(copies_of_links)))
