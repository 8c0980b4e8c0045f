"""One cell, from images to predictions, and the pool of synthetic images it draws on.

dataset → split → augmenter → training set → classifier → predictions

The augmenter sees `split.train` and, in a chain, what the links before it drew from that; the classifier sees
`split.train`, synthetic images and, to stop early, `split.validation`. Test images reach `predict` and nothing else.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import ContractError, Try
from lesionbench.experiment import keys
from lesionbench.experiment.chain import drawing, held_back
from lesionbench.experiment.grid import pool_jobs, pool_size
from lesionbench.experiment.memory import peak_megabytes, restart_peak
from lesionbench.experiment.progress_log import make_context
from lesionbench.experiment.store import Store
from lesionbench.pipeline.augmenter import Saveable, Transformer
from lesionbench.pipeline.predictions import Predictions, write_predictions
from lesionbench.pipeline.split import hold_back
from lesionbench.pipeline.training_set import OnTheFly, Pool, TrainingSet, draw_pool, with_synthetic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.experiment.chain import Draw
    from lesionbench.experiment.grid import Cell, PoolJob
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.pipeline.augmenter import Augmenter, Sampler
    from lesionbench.pipeline.classifier import Predictor
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.split import Split
    from lesionbench.pipeline.training_set import Drawn
    from lesionbench.plugins import Plugins

RECORD = "record.json"
PREDICTOR = "predictor"
LOGS = "logs"  # inside a store entry: what the fit wrote into its context's folder


@dataclass(frozen=True)
class Record:
    """What one fit cost."""

    steps: int
    seconds: float
    peak_mb: float


def run_cell(cell: Cell, prepared: Prepared, plugins: Plugins, folder: Path) -> list[Predictions]:
    """The validation and test predictions of one cell, made and put into the store."""
    split = load_split(cell.arm.draws, cell.fold, cell.seed, prepared)
    drawn = load_draws(cell.arm.draws, cell.fold, cell.seed, prepared, plugins, folder.parent)
    on_the_fly = load_transform(cell.on_the_fly, prepared, plugins, folder)
    train = TrainingSet.of(split, drawn, on_the_fly)
    classifier = plugins.classifier(cell.arm.classifier)
    with Store(prepared.store).writing("predictions", keys.predictions_key(prepared, cell, plugins)) as entry:
        with recorded(entry, keys.classify_seed(prepared, cell), prepared, folder) as context:
            predictor = classifier.fit(train, context)
            _refuse_unused(on_the_fly, cell)
            predictions = [
                Predictions.of("validation", cell.fold, split.validation, predictor.predict(split.validation.images)),
                Predictions.of("test", cell.fold, split.test, predictor.predict(split.test.images)),
            ]
        write_predictions(entry / "predictions.csv", predictions)
        if cell.is_reference and isinstance(predictor, Saveable):
            (entry / PREDICTOR).mkdir()
            predictor.save(entry / PREDICTOR)
    return predictions


def load_predictor(cell: Cell, prepared: Prepared, plugins: Plugins) -> Predictor | None:
    """What the classifier of this cell learnt, when it was kept: of reference cells, if their predictor can save."""
    entry = Store(prepared.store).find("predictions", keys.predictions_key(prepared, cell, plugins))
    if entry is None or not (entry / PREDICTOR).is_dir():
        return None
    return plugins.classifier(cell.arm.classifier).load(entry / PREDICTOR)


def load_split(chain: tuple[Draw, ...], fold: int, seed: int, prepared: Prepared) -> Split:
    """One fold's split, without the training images that the chain holds back."""
    split = prepared.load_split(fold)
    count = held_back(chain)
    if not count:
        return split
    return replace(split, train=hold_back(split.train, count, keys.hold_back_seed(prepared, fold, seed)))


def load_draws(
    chain: tuple[Draw, ...], fold: int, seed: int, prepared: Prepared, plugins: Plugins, logs: Path
) -> list[Drawn]:
    """The synthetic images of every link of a chain that draws."""
    drawn = []
    for job, draw in zip(pool_jobs(chain, fold, seed), drawing(chain), strict=True):
        pool = load_pool(job, prepared, plugins, logs)
        if draw.shuffled:
            pool = pool.shuffled(keys.shuffle_seed(prepared, fold, seed))
        drawn.append(pool.first(draw.per_class))
    return drawn


def load_transform(job: PoolJob | None, prepared: Prepared, plugins: Plugins, folder: Path) -> OnTheFly | None:
    """What changes every training batch, or None."""
    if job is None:
        return None
    sampler = load_sampler(job, prepared, plugins, folder.with_name(f"{folder.name}_{job.name}"))
    if not isinstance(sampler, Transformer):
        raise ContractError(f"{job.augmenter!r} says that it changes images, but its sampler has no `transform`")
    return OnTheFly(sampler)


def _refuse_unused(on_the_fly: OnTheFly | None, cell: Cell) -> None:
    if on_the_fly is not None and not on_the_fly.used:
        raise ContractError(
            f"{cell.arm.classifier!r} learnt without {cell.arm.on_the_fly!r} on the fly: it never called "
            f"`train.changed`",
            Try("leave out {on_the_fly}, or set `learns_in_batches = False` in the classifier"),
        )


def load_pool(job: PoolJob, prepared: Prepared, plugins: Plugins, logs: Path) -> Pool:
    """The synthetic images of one augmenter, fold and seed: from the store, or made and put there."""
    found = find_pool(job, prepared, plugins)
    if found is not None:
        return found
    sampler = load_sampler(job, prepared, plugins, logs / job.name)
    train = prepared.load_split(job.fold).train
    count = pool_size(prepared.experiment, job)
    pool = draw_pool(sampler, train, count, lambda name: keys.draw_seed(prepared, job, name))
    with Store(prepared.store).writing("pools", keys.pool_key(prepared, job, plugins)) as draft:
        for label, images in enumerate(pool.images):
            np.save(draft / f"class{label}.npy", images)
    return pool


def find_pool(job: PoolJob, prepared: Prepared, plugins: Plugins) -> Pool | None:
    """The synthetic images of one augmenter, fold and seed when they are in the store."""
    entry = Store(prepared.store).find("pools", keys.pool_key(prepared, job, plugins))
    if entry is None:
        return None
    return Pool(tuple(np.load(entry / f"class{label}.npy") for label in range(len(prepared.about.classes))))


def load_sampler(job: PoolJob, prepared: Prepared, plugins: Plugins, folder: Path) -> Sampler:
    """What the augmenter learnt: from the store when it was saved there, else by fitting it on the training images."""
    store = Store(prepared.store)
    augmenter = plugins.augmenter(job.augmenter)
    key = keys.fit_key(prepared, job, plugins)
    entry = store.find("fits", key)
    if entry is not None and (entry / "sampler").is_dir():
        return augmenter.load(entry / "sampler")
    drawn = load_draws(job.before, job.fold, job.seed, prepared, plugins, folder.parent)
    train = with_synthetic(load_split(job.before, job.fold, job.seed, prepared).train, drawn)
    return fit_augmenter(augmenter, train, job, prepared, key, folder)


def fit_augmenter(
    augmenter: Augmenter, train: LabelledImages, job: PoolJob, prepared: Prepared, key: str, folder: Path
) -> Sampler:
    """Fit on these training images of one fold, and keep what can be kept in the store."""
    with Store(prepared.store).writing("fits", key) as entry:
        with recorded(entry, keys.augment_seed(prepared, job), prepared, folder) as context:
            sampler = augmenter.fit(train, context)
        if isinstance(sampler, Saveable):
            (entry / "sampler").mkdir()
            sampler.save(entry / "sampler")
    return sampler


@contextmanager
def recorded(entry: Path, seed: int, prepared: Prepared, folder: Path) -> Iterator[RunContext]:
    """A context whose folder is new and empty; afterwards `entry` has what was written there and what the fit cost."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    context, progress = make_context(seed, prepared.device, prepared.precision, folder)
    restart_peak()
    start = time.perf_counter()
    yield context
    record = Record(progress.steps, round(time.perf_counter() - start, 3), peak_megabytes())
    (entry / RECORD).write_text(json.dumps(asdict(record)), encoding="utf-8")
    shutil.copytree(folder, entry / LOGS)


def read_record(entry: Path) -> Record | None:
    """What the fit in this store entry cost, or None when it is not known."""
    try:
        return Record(**json.loads((entry / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
