"""The store keys of fits, pools and predictions: what each may depend on, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesionbench.experiment.grid import pool_size
from lesionbench.experiment.provenance import provenance
from lesionbench.experiment.store import key_of
from lesionbench.pipeline.context import derive_seed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lesionbench.experiment.chain import Draw
    from lesionbench.experiment.grid import Cell, PoolJob
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.plugins import Plugins


def augment_seed(prepared: Prepared, job: PoolJob) -> int:
    """The seed of an augmenter's fit: base seed, fold and seed; never dose or classifier."""
    return derive_seed("augment", prepared.experiment.seed, job.fold, job.seed)


def draw_seed(prepared: Prepared, job: PoolJob, class_name: str) -> int:
    """The seed of the draws of one class."""
    return derive_seed("draw", prepared.experiment.seed, job.fold, job.seed, class_name)


def classify_seed(prepared: Prepared, cell: Cell) -> int:
    """The seed of a classifier's fit: base seed, fold and seed; never augmenter or dose, so arms start alike."""
    return derive_seed("classify", prepared.experiment.seed, cell.fold, cell.seed)


def fit_key(prepared: Prepared, job: PoolJob, plugins: Plugins) -> str:
    """What an augmenter's fit depends on: the training images it sees, and no other image of the dataset."""
    augmenter = plugins.augmenter(job.augmenter)
    return key_of(
        {
            "train": prepared.train_digests[job.fold],
            "before": _drawn(prepared, job.needs, job.before, plugins),
            "augmenter": provenance(augmenter, plugins.get("augmenter", augmenter.name).package),
            "seed": augment_seed(prepared, job),
            "device": prepared.device,
            "precision": prepared.precision,
        }
    )


def _drawn(prepared: Prepared, jobs: Iterable[PoolJob], draws: Iterable[Draw], plugins: Plugins) -> list[Any]:
    """What the draws of a chain depend on; doses are nested, so not on how large a pool a dose was taken from."""
    return [[fit_key(prepared, job, plugins), draw.per_class] for job, draw in zip(jobs, draws, strict=True)]


def pool_key(prepared: Prepared, job: PoolJob, plugins: Plugins) -> str:
    """What a pool depends on: the fit, the draws and how many images a class."""
    seeds = [draw_seed(prepared, job, name) for name in prepared.about.classes]
    count = pool_size(prepared.experiment, job)
    return key_of({"fit": fit_key(prepared, job, plugins), "seeds": seeds, "count": count})


def predictions_key(prepared: Prepared, cell: Cell, plugins: Plugins) -> str:
    """What a cell's predictions depend on."""
    classifier = plugins.classifier(cell.arm.classifier)
    return key_of(
        {
            "splits": prepared.splits_key,
            "fold": cell.fold,
            "synthetic": _drawn(prepared, cell.pools, cell.arm.draws, plugins),
            "on_the_fly": fit_key(prepared, cell.on_the_fly, plugins) if cell.on_the_fly else None,
            "classifier": provenance(classifier, plugins.get("classifier", classifier.name).package),
            "seed": classify_seed(prepared, cell),
            "device": prepared.device,
            "precision": prepared.precision,
        }
    )
