"""The evidence of a whole experiment, and the patient bootstrap of one arm beside scipy's on the same statistic."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from made_arms import arm_key, world

from lesionbench.evidence.evidence import gather_evidence
from lesionbench.evidence.statistics.bootstrap import Draws, resampled
from lesionbench.evidence.tables.comparisons import Judging
from lesionbench.pipeline.arm import Role
from lesionbench.pipeline.leaderboard import ArmResult
from lesionbench.pipeline.metrics import measure
from lesionbench.pipeline.predictions import Predictions

CELLS, SEEDS = 201, 3


def predictions(one, part):
    """What three fits said of one arm's images."""
    return {
        (seed, 1): [Predictions(part, 0, one.ids, one.groups, one.labels, scores, one.classes)]
        for seed, scores in enumerate(one.scores, 1)
    }


def experiment(images):
    """201 cells: the baseline, and 11 augmenters at six doses, each in three seeds."""
    generator = np.random.default_rng(0)
    arms = world(generator, groups=images, effects=(0.0,) * (CELLS // SEEDS), repeats=SEEDS)
    checked = world(generator, groups=528, effects=(0.0,) * (CELLS // SEEDS), repeats=SEEDS)
    results = []
    for number, (one, other) in enumerate(zip(arms, checked, strict=True)):
        name, dose = (f"augmenter{number % 11}", 60 * (1 + (number - 1) // 11)) if number else ("none", 0)
        arm, role = arm_key(name, dose), Role(makes_images=bool(number))
        results.append(ArmResult(arm, role, 1, predictions(one, "test"), 0, predictions(other, "validation")))
    return results


def test_all_evidence_of_200_cells_of_660_images(benchmark):
    results = experiment(660)

    found = benchmark.pedantic(gather_evidence, (results, Judging("none", "auc", 0.02, 2109, 660), 0.9), rounds=1)

    assert len(found.rows["leaderboard"]) == CELLS // SEEDS


@pytest.mark.parametrize("whose", ["ours", "scipy"])
def test_the_bootstrap_of_one_arms_f1(benchmark, whose):
    """2,000 resamples of 660 groups; scipy is given the leaderboard's own function of one arm."""
    one = world(np.random.default_rng(1), groups=660, repeats=1)[0]
    draws = Draws.of(one.groups, 0)

    def theirs(picked):
        return measure(one.labels[picked], one.scores[0][picked], one.positive).f1

    if whose == "ours":
        resampled.cache_clear()
        found = benchmark.pedantic(lambda: resampled.__wrapped__("f1", one, draws).percentile(), rounds=3)
    else:
        images = (np.arange(660),)
        options = {"n_resamples": 2000, "vectorized": False, "method": "percentile", "rng": np.random.default_rng(0)}
        found = tuple(benchmark.pedantic(bootstrap, (images, theirs), options, rounds=1).confidence_interval)

    assert found == pytest.approx((0.66, 0.75), abs=0.08)
