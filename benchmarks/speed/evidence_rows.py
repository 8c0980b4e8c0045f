"""The evidence of a whole experiment, and the patient bootstrap of one arm beside scipy's of the same metric."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pairs import Options, Row, Sides, cost_of
from scipy.stats import bootstrap

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from made_arms import arm_key, world

from lesionbench.evidence.evidence import gather_evidence
from lesionbench.evidence.statistics.bootstrap import RESAMPLES, Draws, resampled
from lesionbench.evidence.tables.comparisons import Judging
from lesionbench.pipeline.arm import Role
from lesionbench.pipeline.leaderboard import ArmResult
from lesionbench.pipeline.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS, SEEDS, IMAGES = 201, 3, 660


@contextmanager
def f1_intervals(arms: int, _: Options) -> Iterator[Sides]:
    """The BCa intervals of F1 of some arms over the same 660 patients with one image each, from 2,000 resamples."""
    results = world(np.random.default_rng(1), groups=IMAGES, effects=(0.0,) * arms, repeats=1)

    def ours():
        draws = Draws.of(results[0].groups, 0)  # once for all arms, as in a run
        return [resampled.__wrapped__("f1", one, draws).bca() for one in results]

    def scipys():
        return [_interval_of_scipy(one) for one in results]

    assert np.allclose(ours(), scipys(), atol=0.01), "both must find the same intervals"
    yield Sides(lambda: cost_of(ours), lambda: cost_of(scipys))


def _interval_of_scipy(one):
    true, predicted = one.labels == one.positive, one.scores[0].argmax(axis=1) == one.positive

    def f1(true, predicted, axis=-1):
        return 2 * (true & predicted).sum(axis=axis) / (true.sum(axis=axis) + predicted.sum(axis=axis))

    options = {"paired": True, "vectorized": True, "n_resamples": RESAMPLES, "method": "BCa"}
    return bootstrap((true, predicted), f1, **options, rng=np.random.default_rng(0)).confidence_interval


@contextmanager
def whole_evidence(options: Options) -> Iterator[Sides]:
    """All tables of 201 cells: the baseline, and 11 augmenters at six doses, each in three seeds."""
    results = _experiment(60 if options.quick else IMAGES)
    judging = Judging("none", "auc", 0.02, 2109, IMAGES)
    yield Sides(lambda: cost_of(lambda: gather_evidence(results, judging, 0.9, "fp32")), None)


def _experiment(images: int) -> list[ArmResult]:
    generator = np.random.default_rng(0)
    arms = world(generator, groups=images, effects=(0.0,) * (CELLS // SEEDS), repeats=SEEDS)
    checked = world(generator, groups=528, effects=(0.0,) * (CELLS // SEEDS), repeats=SEEDS)
    results = []
    for number, (one, other) in enumerate(zip(arms, checked, strict=True)):
        name, dose = (f"augmenter{number % 11}", 60 * (1 + (number - 1) // 11)) if number else ("none", 0)
        arm, role = arm_key(name, dose), Role(makes_images=bool(number))
        results.append(ArmResult(arm, role, 1, _predictions(one, "test"), 0, _predictions(other, "validation")))
    return results


def _predictions(one, part):
    """What three fits said of one arm's images."""
    return {
        (seed, 1): [Predictions(part, 0, one.ids, one.groups, one.labels, scores, one.classes)]
        for seed, scores in enumerate(one.scores, 1)
    }


SCIPY = "`scipy.stats.bootstrap` of the same metric, written for whole arrays (`vectorized=True`), BCa, 2,000 resamples"
ROWS = [
    Row("evidence", "all evidence of 201 cells with 660 test images", "s", "", whole_evidence),
    Row("bootstrap", "bootstrap interval of F1, one arm, 660 patients", "s", SCIPY, partial(f1_intervals, 1)),
    Row("bootstraps", "the same of 67 arms", "s", SCIPY, partial(f1_intervals, CELLS // SEEDS)),
]
