"""A run: the folder of an experiment's results, with its tables as DataFrames, its images as arrays, and its answer."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd

from lesionbench.api.frames import COUNTS, empty_frame, read_frame
from lesionbench.api.html import RATES, run_as_html
from lesionbench.api.pictures import Pictures
from lesionbench.api.request import given_folder, path_of
from lesionbench.audit.fidelity import audit_fidelity
from lesionbench.audit.samples import audit_samples
from lesionbench.audit.stored_pools import bench_of_run
from lesionbench.errors import OutputError, SettingsError
from lesionbench.evidence.images.memorisation import FALSE_ALARMS
from lesionbench.evidence.papers.beside_published import BESIDE_PUBLISHED_COLUMNS
from lesionbench.experiment.environment import read_environment
from lesionbench.experiment.output import read_settings
from lesionbench.experiment.results import read_results
from lesionbench.experiment.table_stamp import refuse_changed
from lesionbench.pipeline.arm import Arm
from lesionbench.pipeline.training_set import TrainingSet
from lesionbench.plugins import Plugins
from lesionbench.spelling import did_you_mean
from lesionbench.store.digests import file_digest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from lesionbench.audit.fidelity import FidelityAudit
    from lesionbench.audit.samples import SamplesAudit
    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.images import Images, Labels

ARM = [field.name for field in fields(Arm)]
CELL = [*ARM, "fold", "seed", "classifier_repeat"]
VERDICT = ["classifier", "difference", "low", "high", "verdict", "reason"]


def open(folder: str | Path | Run) -> Run:  # noqa: A001  # lesionbench.open says what it does
    """The run in this folder, finished or not; nothing in it is changed, and no plugin is needed to read its tables.

    Raises OutputError when the folder holds no run.
    """
    run = folder if isinstance(folder, Run) else Run(path_of("folder", folder))
    read_settings(run.folder)
    return run


@dataclass(frozen=True)
class Run:
    """The results of one experiment. Every table is read from the folder when it is asked for.

    In DataFrames, text is `string`, whole numbers are `Int64`, yes or no is `boolean`, other numbers are `float64`,
    and what is not known is NA. The columns are described in the reference. Rates are fractions.
    """

    folder: Path
    plugins: Plugins | None = field(default=None, repr=False, compare=False)  # None: the installed ones

    def __repr__(self) -> str:
        return f"<Run {str(self.folder)!r}: {self.progress}>"

    def _repr_html_(self) -> str:
        return run_as_html(self)

    # --- how far it is ---

    @property
    def settings(self) -> Experiment:
        """The settings of the experiment."""
        return read_settings(self.folder)[0]

    @property
    def environment(self) -> dict[str, Any]:
        """What the run was made with when it was last started: versions, plugins, machine, data, commands.

        Raises OutputError when an earlier version of lesionbench ran it, which did not keep this.
        """
        return read_environment(self.folder).model_dump(mode="json")

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        if not (self.folder / "cells.csv").exists():
            return "nothing has run yet"
        status = self.cells["status"]
        done, failed = (status == "done").sum(), (status == "failed").sum()
        return f"{done} of {len(status)} cells done" + (f", {failed} failed: see .failed" if failed else "")

    @property
    def finished(self) -> bool:
        """Whether every cell is done."""
        return bool((self.cells["status"] == "done").all())

    @property
    def failed(self) -> pd.DataFrame:
        """The cells that failed, with their errors; the tracebacks are in FOLDER/logs/CELL/error.txt."""
        cells = self.cells
        return cells.loc[cells["status"] == "failed", ["cell", *CELL, "error"]].reset_index(drop=True)

    # --- tables ---

    @property
    def leaderboard(self) -> pd.DataFrame:
        """A row for each arm: its metrics with 95% intervals, its verdict."""
        return self._table("leaderboard", *ARM, *RATES)

    @property
    def verdicts(self) -> pd.DataFrame:
        """The answer in short: arm, dose, classifier, difference from the baseline, low, high, verdict, reason."""
        found = self.comparisons
        short = found[VERDICT].copy()
        short.insert(0, "arm", _arm_names(found))
        short.insert(1, "dose", found["synthetic_per_class"])
        return short

    @property
    def comparisons(self) -> pd.DataFrame:
        """Every arm against the baseline, paired image by image: differences, tests, verdicts."""
        return self._table("comparisons", *ARM, *VERDICT)

    @property
    def dose_response(self) -> pd.DataFrame:
        """The metric that the verdicts are about at every dose, measured and fitted."""
        return self._table("dose_response")

    @property
    def dose_choice(self) -> pd.DataFrame:
        """How much is enough, and the dose that validation images would choose."""
        return self._table("dose_choice")

    @property
    def intervals(self) -> pd.DataFrame:
        """95% intervals of every metric of every arm, by every method that applies."""
        return self._table("intervals")

    @property
    def per_class(self) -> pd.DataFrame:
        """A row for each class of every arm: the class against the rest."""
        return self._table("per_class")

    @property
    def operating_points(self) -> pd.DataFrame:
        """Thresholds chosen on validation images, and what they give on test images."""
        return self._table("operating_points")

    @property
    def calibration(self) -> pd.DataFrame:
        """Whether a score of 0.8 is right eight times in ten."""
        return self._table("calibration")

    @property
    def variance(self) -> pd.DataFrame:
        """Where the luck comes from: test images, folds, seeds; and in `advice`, what to buy next."""
        return self._table("variance")

    @property
    def exchange(self) -> pd.DataFrame:
        """What a real image is worth in synthetic ones; rows only where `real-holdout` was run."""
        return self._table("exchange")

    @property
    def comparison(self) -> pd.DataFrame:
        """Published values beside measured ones; without rows when nothing was published beside the experiment."""
        if not (self.folder / "comparison.csv").exists():
            return empty_frame(BESIDE_PUBLISHED_COLUMNS)
        return self._table("comparison")

    @property
    def cells(self) -> pd.DataFrame:
        """Every cell of the grid: its status, error, seeds, and what its fits cost."""
        return self._table("cells", "cell", "status", "error", "predictions_sha256", *CELL)

    @property
    def splits(self) -> pd.DataFrame:
        """For every fold, the part that each image is in."""
        return self._table("splits")

    def _table(self, name: str, *needed: str) -> pd.DataFrame:
        """A table as it was written, with the columns that are needed; raises OutputError for one that was changed."""
        refuse_changed(self.folder, f"{name}.csv")
        found = read_frame(self.folder / f"{name}.csv")
        lacking = [column for column in needed if column not in found]
        if lacking:
            raise OutputError(
                f"{self.folder / name}.csv has no column {lacking[0]!r}; run the experiment again to restore it"
            )
        return found

    # --- predictions ---

    @property
    def predictions(self) -> pd.DataFrame:
        """What every classifier said of every validation and test image, all cells in one table.

        Beside the cell's columns: part, id, group, label, and a column `score_CLASS` for each class.
        Raises OutputError when a file was changed after it was written.
        """
        cells = self.cells
        parts = [self._predictions_of(cell) for _, cell in cells[cells["status"] == "done"].iterrows()]
        if not parts:
            raise OutputError(f"no cell is done in {self.folder} yet; run the experiment again to go on")
        return pd.concat(parts, ignore_index=True)

    def _predictions_of(self, cell: pd.Series[Any]) -> pd.DataFrame:
        path = self.folder / "predictions" / f"{cell['cell']}.csv"
        found = read_frame(path)
        if file_digest(path) != cell["predictions_sha256"]:
            raise OutputError(f"{path} was changed after it was written; run the experiment again to restore it")
        of_cell = pd.DataFrame([cell[CELL]] * len(found)).astype(dict(self.cells.dtypes[CELL])).reset_index(drop=True)
        return pd.concat([of_cell, found.drop(columns="fold")], axis=1)

    def confusion(
        self, arm: str, classifier: str | None = None, fold: int | None = None, seed: int | None = None
    ) -> pd.DataFrame:
        """How often test images of each class (rows) were called each class (columns), in numbers of images.

        arm: such as "none" or "dcgan@60".  classifier: needed when there are several.
        Of all folds and seeds together, unless one is named: then an image counts once for each seed.
        """
        cells = self._cells_of(arm, classifier)
        cells = cells[cells["status"] == "done"]
        for name, wanted in (("fold", fold), ("seed", seed)):
            cells = cells if wanted is None else cells[cells[name] == wanted]
        if cells.empty:
            raise OutputError(f"no cell of {arm!r} with this fold and seed is done in {self.folder}")
        found = [
            read_frame(self.folder / "confusion" / f"{name}.csv").set_index("true_class") for name in cells["cell"]
        ]
        total = sum(found[1:], start=found[0])
        return total.rename(columns=lambda name: name.removeprefix(COUNTS)).rename_axis(columns="predicted_class")

    # --- images ---

    def pool(self, arm: str, fold: int = 0, seed: int = 1) -> tuple[Images, Labels]:
        """The synthetic images that the classifiers of an arm learned from, on one fold with one seed.

        Returns images, uint8 (N, H, W, C), and labels, int64 (N,): positions in the classes; class after class.
        arm: such as "dcgan@60".
        Raises SettingsError that names the arms there are, OutputError when the images are not in the store.
        """
        results = read_results(self.folder)
        chosen = [cell for cell in results.grid if cell.arm.name == arm and (cell.fold, cell.seed) == (fold, seed)]
        if not chosen:
            self._cells_of(arm)  # raises SettingsError unless there is such an arm
            raise SettingsError(
                f"the run has {results.folds} folds from 0 and {results.experiment.seeds} seeds from 1, but no fold "
                f"{fold} with seed {seed}"
            )
        drawing = dict.fromkeys(cell.arm.name for cell in results.grid if cell.pools)
        if not chosen[0].pools:
            raise SettingsError(f"the arm {arm!r} has no synthetic images (those that have: {', '.join(drawing)})")
        bench = bench_of_run(self.folder, results, self._plugins())
        missing = [job.name for job in chosen[0].pools if not bench.has_pool(job)]
        if missing:
            raise OutputError(f"the pool {missing[0]} is not in {bench.prepared.store}; run the experiment again")
        learned = TrainingSet.of(bench.split(chosen[0]), bench.synthetic(chosen[0]))
        return learned.synthetic, learned.synthetic_labels

    def show(self, arm: str | None = None, fold: int = 0, seed: int = 1) -> Pictures:
        """Pictures for a notebook: real images above synthetic ones of every class, then the dose response.

        arm: such as "dcgan@60" for its pictures alone; by default those of every augmenter. Outside a notebook, the
        paths of the PNG files are printed. The training curves are in FOLDER/logs.
        """
        results = read_results(self.folder)
        if arm is not None:
            self._cells_of(arm)
        cells = [cell for cell in results.grid if (cell.fold, cell.seed) == (fold, seed)]
        jobs = dict.fromkeys(job for cell in cells if arm in (None, cell.arm.name) for job in cell.pools)
        files = [sorted((self.folder / "samples").glob(f"{glob.escape(job.name)}_*.png")) for job in jobs]
        doses = [self.folder / "dose_response.png"] if arm is None else []
        return Pictures((*chain.from_iterable(files), *(path for path in doses if path.exists())))

    # --- audits ---

    def audit_samples(self, false_alarms: float = FALSE_ALARMS) -> SamplesAudit:
        """Whether synthetic images are copies of training images: `.pools` and `.leaderboard` are DataFrames.

        false_alarms: how often a new real image may be called a copy. Call `.write(folder)` to keep what was found.
        """
        return audit_samples(self.folder, self._plugins(), false_alarms=false_alarms)

    def audit_fidelity(self, features: str | Path | None = None, seed: int = 0) -> FidelityAudit:
        """How real and how diverse the synthetic images are, beside real ones: `.pools` is a DataFrame.

        features: a file with a network; by default the baseline's classifiers. Call `.write(folder)` to keep it.
        """
        file = given_folder("features", features)
        return audit_fidelity(self.folder, self._plugins(), features=file, seed=seed)

    def _plugins(self) -> Plugins:
        return self.plugins or Plugins.load()

    def _cells_of(self, arm: str, classifier: str | None = None) -> pd.DataFrame:
        """The cells of an arm; raises SettingsError that names the arms there are."""
        cells = self.cells
        names = _arm_names(cells)
        if arm not in set(names):
            raise _unknown("arm", arm, names)
        chosen = cells[names == arm]
        if classifier is not None and classifier not in set(chosen["classifier"]):
            raise _unknown("classifier", classifier, chosen["classifier"])
        if classifier is None and chosen["classifier"].nunique() > 1:
            known = ", ".join(chosen["classifier"].unique())
            raise SettingsError(f"{arm!r} was run with several classifiers ({known}); name one: classifier=...")
        return chosen if classifier is None else chosen[chosen["classifier"] == classifier]


def _arm_names(rows: pd.DataFrame) -> pd.Series[str]:
    """Every row's arm as it is written, such as `dcgan@60`."""
    names = [Arm(*values).name for values in rows[ARM].itertuples(index=False)]
    return pd.Series(names, index=rows.index, dtype="string")


def _unknown(what: str, wanted: str, known: pd.Series[str]) -> SettingsError:
    names = list(dict.fromkeys(known))
    return SettingsError(
        f"there is no {what} {wanted!r}{did_you_mean(str(wanted), names)} ({what}s: {', '.join(names)})"
    )
