"""What synthetic images are made from: the images an augmenter learns from, and what a chain takes from its pools.

An augmenter sees the training images of its fold and, in a chain, what the links before it drew from those.
The code of this module is part of every key that synthetic images have; it does not know the store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lesionbench.experiment.chain import drawing, held_back
from lesionbench.pipeline.split import hold_back
from lesionbench.pipeline.training_set import draw_pool, with_synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lesionbench.experiment.chain import Draw
    from lesionbench.pipeline.augmenter import Augmenter, AugmenterInParts, FittedPart, Sampler, StackableAugmenter
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.split import Split
    from lesionbench.pipeline.training_set import Pool, SyntheticImages


def without_held_back(split: Split, chain: tuple[Draw, ...], seed: int) -> Split:
    """The split without the training images that the chain holds back."""
    count = held_back(chain)
    return replace(split, train=hold_back(split.train, count, seed)) if count else split


def take_draws(pools: Sequence[Pool], chain: tuple[Draw, ...], shuffle_seed: int) -> list[SyntheticImages]:
    """What each link of a chain takes from its pool: the first images of every class, some under shuffled labels."""
    return [
        (pool.shuffled(shuffle_seed) if draw.shuffled else pool).first(draw.per_class)
        for pool, draw in zip(pools, drawing(chain), strict=True)
    ]


def fit_sampler(augmenter: Augmenter, split: Split, before: Sequence[SyntheticImages], context: RunContext) -> Sampler:
    """What the augmenter learns from the training images and from the draws of the links before it."""
    return augmenter.fit(with_synthetic(split.train, before), context)


def fit_stacked(
    augmenter: StackableAugmenter, split: Split, before: Sequence[SyntheticImages], context: RunContext
) -> Sampler:
    """What all parts of an augmenter learn together from the same images as `fit_sampler`."""
    train = with_synthetic(split.train, before)
    return augmenter.join(augmenter.fit_stacked(train, context), train, context)


def fit_part(
    augmenter: AugmenterInParts, part: int, split: Split, before: Sequence[SyntheticImages], context: RunContext
) -> FittedPart:
    """What one part of an augmenter learns from the same images as `fit_sampler`."""
    return augmenter.fit_part(part, with_synthetic(split.train, before), context)


def join_parts(
    augmenter: AugmenterInParts,
    parts: Sequence[FittedPart],
    split: Split,
    before: Sequence[SyntheticImages],
    context: RunContext,
) -> Sampler:
    """The sampler of all parts of an augmenter."""
    return augmenter.join(parts, with_synthetic(split.train, before), context)


def sample_pool(sampler: Sampler, split: Split, per_class: int, seed_of: Callable[[str], int]) -> Pool:
    """Synthetic images of every class, in the shape of the training images; each class has a seed of its own."""
    return draw_pool(sampler, split.train, per_class, seed_of)
