"""The grid: every arm and every cell of an experiment, and the synthetic pools they need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError
from lesionbench.experiment.chain import Draw, Link, described, drawing, draws, held_back, parse_chain
from lesionbench.pipeline.arm import Arm, Role
from lesionbench.pipeline.augmenter import BASELINE
from lesionbench.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from lesionbench.experiment.settings import Experiment


Parts = Mapping[str, Sequence[str]]  # the names of the parts of fits that have several, by augmenter as it is written

_draws = lru_cache(maxsize=4096)(draws)  # thousands of cells share an arm


@dataclass(frozen=True)
class GridArm(Arm):
    """An arm of the grid, which knows what every link of its chain draws."""

    @property
    def draws(self) -> tuple[Draw, ...]:
        """Every link of the chain with its images per class; empty for the baseline."""
        return _draws(self.augmenter, self.synthetic_per_class)

    def role(self, controls: Collection[str]) -> Role:
        """What the arm is for; `controls` are the links that are controls, as they are written."""
        last = parse_chain(self.augmenter)[-1]
        return Role(
            is_control=last.shuffled or last.augmenter in controls,
            makes_images=bool(drawing(self.draws)),
            holds_back=held_back(self.draws) > 0,
        )


@dataclass(frozen=True)
class PoolJob:
    """One augmenter's fit on one fold with one seed, and the synthetic images drawn from it.

    It learns from the real training images and from the synthetic images of the links before it.
    """

    augmenter: str
    fold: int
    seed: int
    before: tuple[Draw, ...] = ()

    @cached_property
    def name(self) -> str:
        """A name for files."""
        links = [*(Link(draw.augmenter, draw.per_class, draw.shuffled).text for draw in self.before), self.augmenter]
        return f"{slug('+'.join(links))}_fold{self.fold}_seed{self.seed}"

    @property
    def needs(self) -> tuple[PoolJob, ...]:
        """The pools it learns from."""
        return pool_jobs(self.before, self.fold, self.seed)


@dataclass(frozen=True)
class PartJob:
    """One part of an augmenter's fit that falls into several, such as the network of one class."""

    whole: PoolJob
    part: int  # its number, from 0
    title: str  # as the augmenter calls it
    name: str  # for files

    @property
    def augmenter(self) -> str:
        """The augmenter, as it is written."""
        return self.whole.augmenter

    @property
    def fold(self) -> int:
        """The number of the fold."""
        return self.whole.fold

    @property
    def seed(self) -> int:
        """The number of the repeat."""
        return self.whole.seed

    @property
    def needs(self) -> tuple[PoolJob, ...]:
        """The pools it learns from."""
        return self.whole.needs


def part_jobs(job: PoolJob, parts: Parts) -> tuple[PartJob, ...]:
    """The parts of a fit; none for a fit in one piece."""
    titles = parts.get(job.augmenter)
    if not titles:
        return ()
    from lesionbench.pictures.drawing import file_stems  # imports numpy and pillow, which a listing does without

    stems = file_stems(titles)
    return tuple(PartJob(job, part, titles[part], f"{job.name}_{stem}") for part, stem in enumerate(stems))


def needs_of(task: Cell | PoolJob | PartJob, parts: Parts) -> tuple[PoolJob | PartJob, ...]:
    """The tasks that must be done before this one: pools and, of a pool, the parts of its fit."""
    return (*task.needs, *part_jobs(task, parts)) if isinstance(task, PoolJob) else task.needs


def all_needs_of(task: Cell | PoolJob | PartJob, parts: Parts) -> tuple[PoolJob | PartJob, ...]:
    """Everything that a task needs, also for what it needs, each after what it needs itself."""
    found: dict[PoolJob | PartJob, None] = {}
    for one in needs_of(task, parts):
        found |= dict.fromkeys((*all_needs_of(one, parts), one))
    return tuple(found)


@dataclass(frozen=True)
class Cell:
    """One point of the grid."""

    arm: GridArm
    fold: int
    seed: int
    classifier_seed: int = 1  # the classifier can be fitted several times on the same augmenter fits

    @cached_property
    def name(self) -> str:
        """A name for files."""
        arm = self.arm
        again = f"-{self.classifier_seed}" if self.classifier_seed > 1 else ""
        dose = f"-{arm.synthetic_per_class}" if arm.draws else ""
        changed = f"_{slug(arm.on_the_fly)}-on-the-fly" if arm.changes_batches else ""
        return f"{slug(arm.augmenter)}{dose}{changed}_{slug(arm.classifier)}_fold{self.fold}_seed{self.seed}{again}"

    @property
    def is_reference(self) -> bool:
        """Whether it is the first fit of the baseline on its fold: fidelity is measured in the features of that fit."""
        first = self.seed == 1 and self.classifier_seed == 1
        return first and not self.arm.draws and not self.arm.changes_batches

    @cached_property
    def pools(self) -> tuple[PoolJob, ...]:
        """The pools this cell uses, one for each link of its chain; the baseline has none."""
        return pool_jobs(self.arm.draws, self.fold, self.seed)

    @property
    def on_the_fly(self) -> PoolJob | None:
        """The fit whose `transform` changes every training batch, or None."""
        return PoolJob(self.arm.on_the_fly, self.fold, self.seed) if self.arm.changes_batches else None

    @cached_property
    def needs(self) -> tuple[PoolJob, ...]:
        """The pools and the fit that must exist before it runs."""
        return (*self.pools, self.on_the_fly) if self.on_the_fly else self.pools


def pool_jobs(chain: tuple[Draw, ...], fold: int, seed: int) -> tuple[PoolJob, ...]:
    """The pools of the links that make images, in the order of the chain."""
    first = len(chain) - len(drawing(chain))  # real-holdout is first and has no pool
    return tuple(PoolJob(chain[index].augmenter, fold, seed, chain[:index]) for index in range(first, len(chain)))


@lru_cache(maxsize=4096)
def slug(spec: str) -> str:
    """A plugin's text for use in a file name: `dcgan[steps=5]` becomes `dcgan-1f3a9c`."""
    if re.fullmatch(r"[a-z0-9_+@-]+", spec):
        return spec
    without_settings = re.sub(r"[^a-z0-9_+@-]", "", re.sub(r"\[.*?\]", "", spec))
    return f"{without_settings}-{hashlib.sha256(spec.encode()).hexdigest()[:6]}"


def arms(experiment: Experiment) -> list[GridArm]:
    """The baseline first, then every augmenter at every dose; dose 0 is the baseline itself."""
    chains = [(BASELINE, 0)]
    chains += [(augmenter, dose) for augmenter in experiment.augmenters for dose in experiment.synthetic]
    found = [
        GridArm(*described(augmenter, dose), on_the_fly, classifier)
        for classifier in experiment.classifiers
        for on_the_fly in experiment.on_the_fly
        for augmenter, dose in chains
    ]
    return list(dict.fromkeys(found))


def cells(experiment: Experiment, folds: int) -> list[Cell]:
    """Every arm on every fold with every seed, seed by seed."""
    seeds = product(range(1, experiment.seeds + 1), range(1, experiment.classifier_seeds + 1))
    every_arm = arms(experiment)
    grid = [
        Cell(arm, fold, seed, classifier_seed)
        for seed, classifier_seed in seeds
        for fold in range(folds)
        for arm in every_arm
    ]
    assert len({cell.name for cell in grid}) == len(grid), "two cells of one name would share their files"
    return grid


@lru_cache(maxsize=8)
def _largest_draws(experiment: Experiment) -> dict[tuple[tuple[Draw, ...], str], int]:
    largest: dict[tuple[tuple[Draw, ...], str], int] = {}
    for arm in arms(experiment):
        for index, draw in enumerate(arm.draws):  # shuffled or not, the pool is the same
            key = (arm.draws[:index], draw.augmenter)
            largest[key] = max(largest.get(key, 0), draw.per_class)
    return largest


def pool_size(experiment: Experiment, job: PoolJob) -> int:
    """The largest number of images per class that any arm takes from this pool; 0 if it only changes batches."""
    return _largest_draws(experiment).get((job.before, job.augmenter), 0)


def tasks_of(experiment: Experiment, folds: int) -> dict[str, Cell | PoolJob]:
    """Every pool and every cell of the grid, by name."""
    grid = cells(experiment, folds)
    pools: dict[str, Cell | PoolJob] = {job.name: job for cell in grid for job in cell.needs}
    return pools | {cell.name: cell for cell in grid}


def find_task(tasks: Mapping[str, Cell | PoolJob], name: str, out: Path) -> Cell | PoolJob:
    """The cell or pool of this name; raises SettingsError when the run in `out` has none."""
    if name not in tasks:
        whole = [task.name for task in tasks.values() if isinstance(task, PoolJob) and name.startswith(f"{task.name}_")]
        if whole:
            raise SettingsError(f"{name!r} is a part of the fit {whole[0]!r}; name the whole fit")
        raise SettingsError(
            f"the run in {out} has no cell or pool {name!r}{did_you_mean(name, tasks)} "
            f"(cells are listed in {out / 'cells.csv'}, pools in {out / 'logs'})"
        )
    return tasks[name]
