"""The seeds and the store keys of fits, pools and predictions: what each may depend on, and nothing else."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from lesionbench.experiment.chain import drawing, held_back
from lesionbench.experiment.grid import pool_jobs, pool_size
from lesionbench.experiment.provenance import modules_behind, provenance
from lesionbench.pipeline.context import derive_seed
from lesionbench.store.digests import key_of

if TYPE_CHECKING:
    from lesionbench.experiment.chain import Draw
    from lesionbench.experiment.grid import Cell, PartJob, PoolJob
    from lesionbench.experiment.prepare import Inputs, Prepared
    from lesionbench.plugins import Plugins

# The modules that call a plugin and use what it returns; their code is part of the keys.
AUGMENTING = ("lesionbench.experiment.synthesis",)
CLASSIFYING = ("lesionbench.experiment.cell", "lesionbench.experiment.synthesis")
HELD_BACK = "held back"  # in a key's inputs: the link of a chain that keeps real images from an arm


_seed_of = lru_cache(maxsize=100_000)(derive_seed)  # thousands of cells share a fold and a seed


class Seeds:
    """Every seed of an experiment, derived by name from the base seed and from exactly what it may depend on."""

    def __init__(self, base: int) -> None:
        self.base = base

    def augment(self, job: PoolJob) -> int:
        """The seed of an augmenter's fit: base seed, fold and seed; never dose or classifier."""
        return _seed_of("augment", self.base, job.fold, job.seed)

    def draw(self, job: PoolJob, class_name: str) -> int:
        """The seed of the samples of one class."""
        return _seed_of("draw", self.base, job.fold, job.seed, class_name)

    def classify(self, cell: Cell) -> int:
        """The seed of a classifier's fit: base seed, fold and seed; never augmenter or dose, so arms start alike."""
        again = [cell.classifier_seed] if cell.classifier_seed > 1 else []
        return _seed_of("classify", self.base, cell.fold, cell.seed, *again)

    def hold_back(self, fold: int, seed: int) -> int:
        """The seed of the choice of real images that are held back from an arm."""
        return _seed_of("hold back", self.base, fold, seed)

    def shuffle(self, fold: int, seed: int) -> int:
        """The seed of shuffled labels."""
        return _seed_of("shuffle", self.base, fold, seed)


class Keys:
    """The store keys of one prepared experiment; a key is the digest of the inputs beside it."""

    def __init__(self, prepared: Prepared, plugins: Plugins) -> None:
        self.prepared = prepared
        self.plugins = plugins
        self.seeds = Seeds(prepared.experiment.seed)
        self.fit = cache(self._fit)  # a chain needs the keys of its links again and again
        self.pool = cache(self._pool)
        self.predictions = cache(self._predictions)
        self._augmenter = cache(self._made_augmenter)  # thousands of keys share a plugin
        self._classifier = cache(self._made_classifier)

    def _fit(self, job: PoolJob) -> str:
        return key_of(self.inputs_of_fit(job))

    def _pool(self, job: PoolJob) -> str:
        return key_of(self.inputs_of_pool(job))

    def _predictions(self, cell: Cell) -> str:
        return key_of(self.inputs_of_predictions(cell))

    def inputs_of_fit(self, job: PoolJob) -> Inputs:
        """What an augmenter's fit depends on: the training images it sees, and no other image of the dataset."""
        is_stacked = self.prepared.experiment.stacks(self.plugins.augmenter(job.augmenter))
        return {
            **({"stacked": True} if is_stacked else {}),
            "train": self.prepared.train_digests[job.fold],
            "before": self._learned_from(job.before, job.fold, job.seed),
            "augmenter": self._augmenter(job.augmenter),
            "seed": self.seeds.augment(job),
            "device": self.prepared.device,
            "precision": self.prepared.precision,
        }

    def part(self, part: PartJob) -> str:
        """The key of one part of a fit."""
        return key_of(self.inputs_of_part(part))

    def inputs_of_part(self, part: PartJob) -> Inputs:
        """What a part of a fit depends on: what the fit depends on, and which part it is."""
        return {"fit": self.fit(part.whole), "part": part.part}

    def inputs_of_pool(self, job: PoolJob) -> Inputs:
        """What a pool depends on: the fit, the seeds of its samples and how many images each class gets."""
        seeds = [self.seeds.draw(job, name) for name in self.prepared.about.classes]
        return {"fit": self.fit(job), "seeds": seeds, "count": pool_size(self.prepared.experiment, job)}

    def inputs_of_predictions(self, cell: Cell) -> Inputs:
        """What a cell's predictions depend on."""
        return {
            "splits": self.prepared.splits_key,
            "fold": cell.fold,
            "synthetic": self._learned_from(cell.arm.draws, cell.fold, cell.seed),
            "on_the_fly": self.fit(cell.on_the_fly) if cell.on_the_fly else None,
            "classifier": self._classifier(cell.arm.classifier),
            "seed": self.seeds.classify(cell),
            "device": self.prepared.device,
            "precision": self.prepared.precision,
        }

    def augmenter_modules(self, spec: str) -> tuple[str, dict[str, str]]:
        """The digest of the code behind an augmenter's fits, and of every module in it by name."""
        return self._augmenter(spec)["code"], modules_behind(self.plugins.augmenter(spec), *AUGMENTING)

    def classifier_modules(self, spec: str) -> tuple[str, dict[str, str]]:
        """The digest of the code behind a classifier's predictions, and of every module in it by name."""
        return self._classifier(spec)["code"], modules_behind(self.plugins.classifier(spec), *CLASSIFYING)

    def _made_augmenter(self, spec: str) -> dict[str, Any]:
        augmenter = self.plugins.augmenter(spec)
        return provenance(augmenter, self.plugins.get("augmenter", augmenter.name).package, *AUGMENTING)

    def _made_classifier(self, spec: str) -> dict[str, Any]:
        classifier = self.plugins.classifier(spec)
        return provenance(classifier, self.plugins.get("classifier", classifier.name).package, *CLASSIFYING)

    def _learned_from(self, chain: tuple[Draw, ...], fold: int, seed: int) -> list[Any]:
        """What the images of a chain depend on; doses are nested, so not on how large a pool a dose was taken from."""
        parts: list[Any] = []
        if held_back(chain):
            parts.append([HELD_BACK, held_back(chain), self.seeds.hold_back(fold, seed)])
        for job, draw in zip(pool_jobs(chain, fold, seed), drawing(chain), strict=True):
            shuffled = [self.seeds.shuffle(fold, seed)] if draw.shuffled else []
            parts.append([self.fit(job), draw.per_class, *shuffled])
        return parts
