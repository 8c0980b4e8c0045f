"""The leaderboard without the test images that have a twin in another part, beside the one with all images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.pipeline.arm import ARM_COLUMNS
from lesionbench.pipeline.leaderboard import leaderboard
from lesionbench.pipeline.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lesionbench.pipeline.leaderboard import ArmResult, Row
    from lesionbench.pipeline.predictions import Predictions

WITHOUT_TWINS_COLUMNS = (
    *ARM_COLUMNS,
    "seeds",
    "n_test",
    "n_test_without_twins",
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_without_twins", "_difference")),
)


def without_twins(results: Sequence[ArmResult], twins: Collection[str]) -> list[Row]:
    """One row for each arm: each metric on all test images, without the twins, and the second minus the first."""
    fewer = [_restricted(result, np.array(sorted(twins), np.str_)) for result in results]
    rows: list[Row] = []
    for all_images, without in zip(leaderboard(results), leaderboard(fewer), strict=True):
        row = {name: all_images[name] for name in (*ARM_COLUMNS, "seeds", "n_test")}
        row["n_test_without_twins"] = without["n_test"]
        for metric in METRICS:
            before, after = all_images[metric], without[metric]
            known = isinstance(before, float) and isinstance(after, float)
            row |= {
                metric: before,
                f"{metric}_without_twins": after,
                f"{metric}_difference": after - before if known else None,  # type: ignore[operator]  # both floats
            }
        rows.append(row)
    return rows


def _restricted(result: ArmResult, twins: np.ndarray[tuple[int], np.dtype[np.str_]]) -> ArmResult:
    kept = {repeat: [_without(fold, twins) for fold in folds] for repeat, folds in result.test.items()}
    return replace(result, test=kept)


def _without(fold: Predictions, twins: np.ndarray[tuple[int], np.dtype[np.str_]]) -> Predictions:
    kept = ~np.isin(fold.ids, twins)
    return replace(
        fold, ids=fold.ids[kept], groups=fold.groups[kept], labels=fold.labels[kept], scores=fold.scores[kept]
    )
