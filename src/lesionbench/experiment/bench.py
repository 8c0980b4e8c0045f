"""The bench that cells are run on: an experiment's images, plugins and store in one object.

Whatever a cell needs comes from the store when it is there, and is made and kept when it is not.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lesionbench.errors import ContractError, DatasetError
from lesionbench.experiment import grid
from lesionbench.experiment.checkpoint import FitCheckpoint
from lesionbench.experiment.grid import Cell, PartJob, PoolJob
from lesionbench.experiment.keys import Keys
from lesionbench.experiment.progress_log import NOTHING, Progress, Record
from lesionbench.experiment.provenance import keep_modules
from lesionbench.experiment.stored_dataset import read_dataset
from lesionbench.experiment.synthesis import (
    fit_part,
    fit_sampler,
    fit_stacked,
    join_parts,
    sample_pool,
    take_draws,
    without_held_back,
)
from lesionbench.pipeline.augmenter import AugmenterInParts, FittedPart, Saveable, Transformer
from lesionbench.pipeline.context import RunContext
from lesionbench.pipeline.predictions import as_text
from lesionbench.pipeline.split import splits
from lesionbench.pipeline.training_set import OnTheFly, Pool
from lesionbench.store.addresses import open_store
from lesionbench.store.layout import DATASETS, FITS, PARTS, POOLS, PREDICTIONS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lesionbench.experiment.chain import Draw
    from lesionbench.experiment.keys import Seeds
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.pipeline.augmenter import Sampler
    from lesionbench.pipeline.classifier import Classifier, Predictor
    from lesionbench.pipeline.dataset import LoadedDataset
    from lesionbench.pipeline.predictions import Predictions
    from lesionbench.pipeline.split import Split
    from lesionbench.pipeline.training_set import SyntheticImages
    from lesionbench.plugins import Plugins
    from lesionbench.store.entry import Entry
    from lesionbench.store.store import Store

SAMPLER, PREDICTOR, LOGS, RECORD, FITTED = "sampler", "predictor", "logs", "record", "fitted"  # inside an entry


@dataclass
class Fit:
    """One fit: the context that it is given, its checkpoint there, and, once it has ended, what it cost."""

    context: RunContext
    checkpoint: FitCheckpoint
    progress: Progress
    record: Record = NOTHING

    def take_over(self, parts: Sequence[Entry]) -> None:
        """Begin with what the parts of the fit have cost, and with their notes."""
        for part in parts:
            shutil.copytree(part.folder(LOGS), self.context.folder, dirs_exist_ok=True)
        self.progress.join([(part.folder(LOGS), read_record(part) or NOTHING) for part in parts])


@dataclass(frozen=True)
class Bench:
    """A prepared experiment with its plugins; `logs` is the folder that fits write their notes and pictures into."""

    prepared: Prepared
    plugins: Plugins
    logs: Path
    _folds: dict[int, Split] = field(default_factory=dict, repr=False)

    @cached_property
    def store(self) -> Store:
        """The store that keeps fits, pools and predictions."""
        return open_store(self.prepared.store)

    @cached_property
    def keys(self) -> Keys:
        """The store keys of fits, pools and predictions."""
        return Keys(self.prepared, self.plugins)

    @property
    def seeds(self) -> Seeds:
        """The seeds of fits, samples and hold-outs."""
        return self.keys.seeds

    # --- images ---

    def data(self) -> LoadedDataset:
        """All images."""
        return read_dataset(self._kept(DATASETS, self.prepared.dataset_key, "images"))

    def parts(self) -> NDArray[np.str_]:
        """The part of every image in every fold: `train`, `validation` or `test`, (folds, N)."""
        parts: NDArray[np.str_] = self._kept(SPLITS, self.prepared.splits_key, "splits").array("parts")
        return parts

    def _kept(self, kind: str, key: str, what: str) -> Entry:
        entry = self.store.read(kind, key)
        if entry is None:
            raise DatasetError(f"the {what} in {self.prepared.store} are damaged or gone; run the experiment again")
        return entry

    def fold(self, fold: int) -> Split:
        """One fold's train, validation and test images."""
        if fold not in self._folds:
            self._folds.clear()  # one fold at a time is in memory
            self._folds[fold] = splits(self.data(), [self.parts()[fold]])[0]
        return self._folds[fold]

    def split(self, cell: Cell) -> Split:
        """The images of a cell's fold, without the training images that its arm holds back."""
        return self._without_held_back(cell.arm.draws, cell.fold, cell.seed)

    def split_of(self, job: PoolJob) -> Split:
        """The images of a pool's fold, without the training images that its chain holds back."""
        return self._without_held_back(job.before, job.fold, job.seed)

    def _without_held_back(self, chain: tuple[Draw, ...], fold: int, seed: int) -> Split:
        return without_held_back(self.fold(fold), chain, self.seeds.hold_back(fold, seed))

    # --- synthetic images ---

    def synthetic(self, cell: Cell) -> list[SyntheticImages]:
        """The synthetic images of a cell, one draw for each link of its chain."""
        return self.draws(cell.arm.draws, cell.fold, cell.seed, user=cell.name)

    def draws(self, chain: tuple[Draw, ...], fold: int, seed: int, user: str) -> list[SyntheticImages]:
        """The synthetic images of every link of a chain that draws any; user: the name of the task that needs them."""
        pools = [self.pool(job, log=f"{user}_{job.name}") for job in grid.pool_jobs(chain, fold, seed)]
        return take_draws(pools, chain, self.seeds.shuffle(fold, seed))

    def on_the_fly(self, cell: Cell) -> OnTheFly | None:
        """What changes every training batch of a cell, or None."""
        job = cell.on_the_fly
        if job is None:
            return None
        sampler = self.sampler(job, log=f"{cell.name}_{job.name}")  # several cells may fit it at the same time
        if not isinstance(sampler, Transformer):
            raise ContractError(f"{job.augmenter!r} says that it changes images, but its sampler has no `transform`")
        return OnTheFly(sampler)

    def pool(self, job: PoolJob, log: str | None = None) -> Pool:
        """The synthetic images of one augmenter, fold and seed: as many as the largest dose takes.

        log: the name of the folder of the notes, should it have to be fitted: several tasks may find a damaged pool at
            the same time. By default the pool's.
        """
        kept = self._pool_in(self.store.seek(POOLS, self.keys.pool(job)))
        if kept is not None:
            return kept
        count = grid.pool_size(self.prepared.experiment, job)
        pool = sample_pool(self.sampler(job, log), self.split_of(job), count, lambda name: self.seeds.draw(job, name))
        with self.store.write(POOLS, self.keys.pool(job), self.keys.inputs_of_pool(job)) as draft:
            for label, images in enumerate(pool.images):
                draft.put_array(f"class{label}", images)
        return pool

    def kept_pool(self, job: PoolJob) -> Pool | None:
        """The synthetic images of one augmenter, fold and seed if they are in the store, else None."""
        return self._pool_in(self.store.read(POOLS, self.keys.pool(job)))

    def _pool_in(self, entry: Entry | None) -> Pool | None:
        if entry is None:
            return None
        return Pool(tuple(entry.array(f"class{label}") for label in range(len(self.prepared.about.classes))))

    def has_pool(self, job: PoolJob) -> bool:
        """Whether a pool is in the store; its images are not read."""
        return self.store.has(POOLS, self.keys.pool(job))

    # --- fits ---

    def sampler(self, job: PoolJob, log: str | None = None) -> Sampler:
        """What an augmenter learned: read from the store when it was saved there, else fitted (again).

        log: the name of the folder of its notes; by default the pool's.
        """
        kept = self._kept_sampler(job)
        if kept is not None:
            return kept
        try:
            return self._fitted_sampler(job, log)
        except (OSError, DatasetError):
            kept = self._kept_sampler(job)  # another run may have made the fit and removed the parts meanwhile
            if kept is None:
                raise
            return kept

    def _kept_sampler(self, job: PoolJob) -> Sampler | None:
        """The sampler of a fit if it was saved in the store, else None."""
        entry = self.store.seek(FITS, self.keys.fit(job))
        if entry is None or not entry.has(SAMPLER):
            return None
        return self.plugins.augmenter(job.augmenter).load(entry.folder(SAMPLER))

    def _fitted_sampler(self, job: PoolJob, log: str | None) -> Sampler:
        """What an augmenter learns now, from its parts where it has any; it is kept."""
        parts = self.parts_of(job)
        kept = [self.part(part, log and f"{log}_{part.part}") for part in parts]
        augmenter, split = self.plugins.augmenter(job.augmenter), self.split_of(job)
        before = self.draws(job.before, job.fold, job.seed, user=log or job.name)
        with self.fitting(job, log) as fit:
            if isinstance(augmenter, AugmenterInParts) and parts:
                fit.take_over(kept)
                sampler = join_parts(augmenter, [_fitted(entry) for entry in kept], split, before, fit.context)
            elif self.prepared.experiment.stacks(augmenter):
                sampler = fit_stacked(augmenter, split, before, fit.context)
            else:
                sampler = fit_sampler(augmenter, split, before, fit.context)
        self._keep_sampler(job, sampler, fit)
        for part in parts:
            self.store.remove(PARTS, self.keys.part(part))
        return sampler

    def parts_of(self, job: PoolJob) -> tuple[PartJob, ...]:
        """The parts of a fit; none for a fit in one piece."""
        return grid.part_jobs(job, self.prepared.parts)

    def part(self, part: PartJob, log: str | None = None) -> Entry:
        """One part of a fit: from the store, or fitted and kept.

        log: the name of the folder of its notes; by default the part's.
        """
        key = self.keys.part(part)
        kept = self.store.seek(PARTS, key)
        if kept is not None:
            return kept
        augmenter, split = self.plugins.augmenter(part.augmenter), self.split_of(part.whole)
        assert isinstance(augmenter, AugmenterInParts)
        job = part.whole
        before = self.draws(job.before, job.fold, job.seed, user=log or part.name)
        with self.fitting(part, log) as fit:
            fitted = fit_part(augmenter, part.part, split, before, fit.context)
        with self.store.write(PARTS, key, self.keys.inputs_of_part(part)) as draft:
            draft.put_json(RECORD, asdict(fit.record))
            draft.put_folder(LOGS, fit.context.folder)
            draft.put_json(FITTED, {"arrays": list(fitted.arrays), "values": fitted.values})
            for number, array in enumerate(fitted.arrays.values()):
                draft.put_array(f"{FITTED}{number}", array)
        fit.checkpoint.remove()
        return self._kept(PARTS, key, "parts of fits")

    def has_part(self, part: PartJob) -> bool:
        """Whether a part of a fit is in the store, or the whole fit; nothing is read."""
        return self.store.has(PARTS, self.keys.part(part)) or self.store.has(FITS, self.keys.fit(part.whole))

    def classifier(self, cell: Cell) -> Classifier:
        """The classifier of a cell."""
        return self.plugins.classifier(cell.arm.classifier)

    def predictor(self, cell: Cell) -> Predictor | None:
        """What a cell's classifier learned, when it was kept: of reference cells, if their predictor can save."""
        entry = self.store.read(PREDICTIONS, self.keys.predictions(cell))
        return self.classifier(cell).load(entry.folder(PREDICTOR)) if entry and entry.has(PREDICTOR) else None

    @contextmanager
    def fitting(self, task: Cell | PoolJob | PartJob, log: str | None = None) -> Iterator[Fit]:
        """A fit with a new, empty folder for its notes; its record is complete when the block ends.

        log: the name of that folder; by default the task's.
        """
        folder = self.logs / (log or task.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if isinstance(task, Cell):
            seed, kept = self.seeds.classify(task), self.store.checkpoints(PREDICTIONS, self.keys.predictions(task))
        elif isinstance(task, PoolJob):
            seed, kept = self.seeds.augment(task), self.store.checkpoints(FITS, self.keys.fit(task))
        else:
            seed, kept = self.seeds.augment(task.whole), self.store.checkpoints(PARTS, self.keys.part(task))
        progress = Progress(folder, self.prepared.device)
        checkpoint = FitCheckpoint(kept, progress)
        prepared = self.prepared
        context = RunContext(seed, prepared.device, prepared.precision, folder, progress, checkpoint)
        fit = Fit(context, checkpoint, progress)
        with checkpoint.guarding():
            yield fit
        fit.record = progress.record()

    def _keep_sampler(self, job: PoolJob, sampler: Sampler, fit: Fit) -> None:
        """Put a fit into the store: what it cost, its notes and, when it can save itself, the sampler."""
        keep_modules(self.store, *self.keys.augmenter_modules(job.augmenter))
        with self.store.write(FITS, self.keys.fit(job), self.keys.inputs_of_fit(job)) as draft:
            draft.put_json(RECORD, asdict(fit.record))
            draft.put_folder(LOGS, fit.context.folder)
            if isinstance(sampler, Saveable):
                sampler.save(draft.folder(SAMPLER))
        fit.checkpoint.remove()

    def keep(self, cell: Cell, predictions: list[Predictions], predictor: Predictor, fit: Fit) -> None:
        """Put a cell into the store: its predictions, cost and notes and, for a reference cell, the predictor."""
        keep_modules(self.store, *self.keys.classifier_modules(cell.arm.classifier))
        with self.store.write(PREDICTIONS, self.keys.predictions(cell), self.keys.inputs_of_predictions(cell)) as draft:
            draft.put_text("predictions.csv", as_text(predictions))
            draft.put_json(RECORD, asdict(fit.record))
            draft.put_folder(LOGS, fit.context.folder)
            if cell.is_reference and isinstance(predictor, Saveable):
                predictor.save(draft.folder(PREDICTOR))
        fit.checkpoint.remove()

    # --- what was made ---

    def uses(self) -> Iterator[tuple[str, str]]:
        """Every entry, its kind and its key, that the experiment uses or will use."""
        yield DATASETS, self.prepared.dataset_key
        yield SPLITS, self.prepared.splits_key
        for cell in grid.cells(self.prepared.experiment, self.prepared.about.folds):
            yield PREDICTIONS, self.keys.predictions(cell)
            for job in cell.needs:
                yield FITS, self.keys.fit(job)
                yield from ((PARTS, self.keys.part(part)) for part in self.parts_of(job))
                yield POOLS, self.keys.pool(job)

    def predictions(self, cell: Cell) -> Entry | None:
        """The entry of a cell's predictions, verified; None while the cell is not done."""
        return self.store.read(PREDICTIONS, self.keys.predictions(cell))

    def is_kept(self, cell: Cell) -> bool:
        """Whether a cell's predictions are in the store, whole; no also when the store does not answer."""
        return self.store.seek(PREDICTIONS, self.keys.predictions(cell)) is not None

    def settle(self, cell: Cell) -> None:
        """Send a cell's predictions to a store on another machine, if they could not be sent when they were made."""
        self.store.settle_one(PREDICTIONS, self.keys.predictions(cell))

    def classification(self, cell: Cell) -> Entry | None:
        """The entry of a cell's predictions, not verified: for its record and its notes."""
        return self.store.glance(PREDICTIONS, self.keys.predictions(cell))

    def is_fitted(self, task: Cell | PoolJob | PartJob) -> bool:
        """Whether the fit behind a task is in the store."""
        if isinstance(task, PartJob):
            return self.has_part(task)
        return (self.classification(task) if isinstance(task, Cell) else self.fit(task)) is not None

    def fitted_part(self, part: PartJob) -> Entry | None:
        """The entry of a part of a fit, not verified; None before it is made, and once the fit is."""
        return self.store.glance(PARTS, self.keys.part(part))

    def fit(self, job: PoolJob) -> Entry | None:
        """The entry of an augmenter's fit, not verified: for its record and its notes."""
        return self.store.glance(FITS, self.keys.fit(job))


def _fitted(part: Entry) -> FittedPart:
    """What a part has learned."""
    noted = part.json(FITTED)
    arrays = {name: part.array(f"{FITTED}{number}") for number, name in enumerate(noted["arrays"])}
    return FittedPart(arrays, noted["values"])


def read_record(entry: Entry | None) -> Record | None:
    """What the fit of an entry cost, or None when it is not known."""
    if entry is None:
        return None
    try:
        return Record(**entry.json(RECORD))
    except (OSError, ValueError, TypeError):
        return None
