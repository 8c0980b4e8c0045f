"""The audit of fidelity: how real and how diverse the synthetic images of a run are, beside what real images score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lesionbench.audit.extractors import file_extractor, predictor_extractor
from lesionbench.audit.frames import as_frame, as_html
from lesionbench.audit.stored_pools import bench_of_run, stored_pools
from lesionbench.evidence.images.fidelity import FIDELITY_COLUMNS, SyntheticPool, fidelity_rows
from lesionbench.evidence.images.fidelity_samples import Extractor, Roles, kid_subset, real_side
from lesionbench.experiment.output import refuse_file, refuse_inside
from lesionbench.experiment.results import read_results
from lesionbench.pipeline.leaderboard import as_csv
from lesionbench.store.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from lesionbench.evidence.images.fidelity_samples import RealSide
    from lesionbench.experiment.results import Results
    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.plugins import Plugins

TABLE = "fidelity.csv"


@dataclass(frozen=True, eq=False, repr=False)
class FidelityAudit:
    """What an audit of fidelity found: a row for each pool and class, and for all classes."""

    rows: tuple[Row, ...]

    @property
    def pools(self) -> pd.DataFrame:
        """Every measure of every pool, beside what real images score in its place: fidelity.csv."""
        return as_frame(self.rows, FIDELITY_COLUMNS)

    def __repr__(self) -> str:
        return f"<FidelityAudit: {len(self.rows)} rows, for each pool and class>"

    def _repr_html_(self) -> str:
        return as_html(repr(self), self.pools)

    def write(self, folder: str | Path) -> list[Path]:
        """Write fidelity.csv; returns the file."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / TABLE, as_csv(list(self.rows), FIDELITY_COLUMNS))
        return [folder / TABLE]


def audit_fidelity(
    run: Path, plugins: Plugins, *, features: Path | None = None, seed: int = 0, out: Path | None = None
) -> FidelityAudit:
    """Measure every pool of a run beside real images of its fold.

    features: a file with a network (see file_extractor); None: the run's baseline classifier of each fold.
    seed: of every random choice.  out: the folder that the audit is to be written to: checked before it begins.
    Raises SettingsError, or OutputError where `run` holds no run or its pools are no longer in the store.
    """
    if out is not None:
        refuse_file(out)
    results = read_results(run)
    if out is not None:
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
    return FidelityAudit(tuple(rows))


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
