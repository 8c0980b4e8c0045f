"""The store keys of fits, pools and predictions: what each may depend on, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesionbench.experiment.chain import drawing, held_back
from lesionbench.experiment.grid import pool_jobs, pool_size
from lesionbench.experiment.provenance import provenance
from lesionbench.experiment.store import key_of
from lesionbench.pipeline.context import derive_seed

if TYPE_CHECKING:
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
    again = [cell.classifier_seed] if cell.classifier_seed > 1 else []
    return derive_seed("classify", prepared.experiment.seed, cell.fold, cell.seed, *again)


def hold_back_seed(prepared: Prepared, fold: int, seed: int) -> int:
    """The seed of the choice of real images that an arm does without."""
    return derive_seed("hold back", prepared.experiment.seed, fold, seed)


def shuffle_seed(prepared: Prepared, fold: int, seed: int) -> int:
    """The seed of labels that mean nothing."""
    return derive_seed("shuffle", prepared.experiment.seed, fold, seed)


def fit_key(prepared: Prepared, job: PoolJob, plugins: Plugins) -> str:
    """What an augmenter's fit depends on: the training images it sees, and no other image of the dataset."""
    augmenter = plugins.augmenter(job.augmenter)
    return key_of(
        {
            "train": prepared.train_digests[job.fold],
            "before": _learnt_from(prepared, job.before, job.fold, job.seed, plugins),
            "augmenter": provenance(augmenter, plugins.get("augmenter", augmenter.name).package),
            "seed": augment_seed(prepared, job),
            "device": prepared.device,
            "precision": prepared.precision,
        }
    )


def _learnt_from(prepared: Prepared, chain: tuple[Draw, ...], fold: int, seed: int, plugins: Plugins) -> list[Any]:
    """What the images of a chain depend on; doses are nested, so not on how large a pool a dose was taken from."""
    parts: list[Any] = []
    if held_back(chain):
        parts.append(["held back", held_back(chain), hold_back_seed(prepared, fold, seed)])
    for job, draw in zip(pool_jobs(chain, fold, seed), drawing(chain), strict=True):
        shuffled = [shuffle_seed(prepared, fold, seed)] if draw.shuffled else []
        parts.append([fit_key(prepared, job, plugins), draw.per_class, *shuffled])
    return parts


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
            "synthetic": _learnt_from(prepared, cell.arm.draws, cell.fold, cell.seed, plugins),
            "on_the_fly": fit_key(prepared, cell.on_the_fly, plugins) if cell.on_the_fly else None,
            "classifier": provenance(classifier, plugins.get("classifier", classifier.name).package),
            "seed": classify_seed(prepared, cell),
            "device": prepared.device,
            "precision": prepared.precision,
        }
    )
