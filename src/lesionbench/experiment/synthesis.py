"""An augmenter's fit, the pool of synthetic images drawn from it, and what a chain takes from its pools.

An augmenter sees the training images of its fold and, in a chain, what the links before it drew from those.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lesionbench.experiment.chain import drawing, held_back
from lesionbench.pipeline.split import hold_back
from lesionbench.pipeline.training_set import draw_pool, with_synthetic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.experiment.bench import Bench
    from lesionbench.experiment.chain import Draw
    from lesionbench.experiment.grid import PoolJob
    from lesionbench.pipeline.augmenter import Sampler
    from lesionbench.pipeline.split import Split
    from lesionbench.pipeline.training_set import Drawn, Pool


def fit_sampler(job: PoolJob, bench: Bench, log: str) -> Sampler:
    """Fit an augmenter on the images of its link, and keep what can be kept; `log` names the folder of its notes."""
    real = bench.split_of(job).train
    train = with_synthetic(real, bench.draws(job.before, job.fold, job.seed))
    with bench.fitting(log, bench.seeds.augment(job)) as fit:
        sampler = bench.plugins.augmenter(job.augmenter).fit(train, fit.context)
    bench.keep_sampler(job, sampler, fit)
    return sampler


def sample_pool(job: PoolJob, bench: Bench) -> Pool:
    """Draw as many synthetic images of every class as the largest dose takes, and keep them."""
    real = bench.split_of(job).train
    pool = draw_pool(bench.sampler(job), real, bench.pool_size(job), lambda name: bench.seeds.draw(job, name))
    bench.keep_pool(job, pool)
    return pool


def without_held_back(split: Split, chain: tuple[Draw, ...], seed: int) -> Split:
    """The split without the training images that the chain holds back."""
    count = held_back(chain)
    return replace(split, train=hold_back(split.train, count, seed)) if count else split


def take_draws(pools: Sequence[Pool], chain: tuple[Draw, ...], shuffle_seed: int) -> list[Drawn]:
    """What each link of a chain takes from its pool: the first images of every class, some under shuffled labels."""
    return [
        (pool.shuffled(shuffle_seed) if draw.shuffled else pool).first(draw.per_class)
        for pool, draw in zip(pools, drawing(chain), strict=True)
    ]
