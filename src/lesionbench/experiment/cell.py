"""One cell, from images to predictions.

dataset → split → augmenter → training set → classifier → predictions

The augmenter sees `split.train` and, in a chain, what the links before it drew from that; the classifier sees
`split.train`, synthetic images and, to stop early, `split.validation`. Test images reach `predict` and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.errors import ContractError, Try
from lesionbench.pipeline.predictions import Predictions
from lesionbench.pipeline.training_set import TrainingSet

if TYPE_CHECKING:
    from lesionbench.experiment.bench import Bench
    from lesionbench.experiment.grid import Cell
    from lesionbench.pipeline.training_set import OnTheFly


def run_cell(cell: Cell, bench: Bench) -> None:
    """Make the validation and test predictions of one cell and keep them."""
    split = bench.split(cell)
    on_the_fly = bench.on_the_fly(cell)
    train = TrainingSet.of(split, bench.synthetic(cell), on_the_fly)
    with bench.fitting(cell) as fit:
        predictor = bench.classifier(cell).fit(train, fit.context)
        _refuse_unused(on_the_fly, cell)
        predictions = [
            Predictions.of("validation", cell.fold, split.validation, predictor.predict(split.validation.images)),
            Predictions.of("test", cell.fold, split.test, predictor.predict(split.test.images)),
        ]
    bench.keep(cell, predictions, predictor, fit)


def _refuse_unused(on_the_fly: OnTheFly | None, cell: Cell) -> None:
    if on_the_fly is not None and not on_the_fly.used:
        raise ContractError(
            f"{cell.arm.classifier!r} learned without {cell.arm.on_the_fly!r} on the fly: it never called "
            f"`train.changed`",
            Try("leave out {on_the_fly}, or set `learns_in_batches = False` in the classifier"),
        )
