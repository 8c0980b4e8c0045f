"""Planning and running again when 10,000 cells are finished.

The cells are made up: entries of the store under their real keys, with predictions that nobody computed.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from pairs import Options, Row, Sides, cost_of_command

from lesionbench.experiment.bench import LOGS, RECORD, Bench
from lesionbench.experiment.grid import cells
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.settings import make_experiment
from lesionbench.pipeline.predictions import Predictions, as_text
from lesionbench.plugins import Plugins
from lesionbench.store import store as store_module
from lesionbench.store import whole_folders
from lesionbench.store.layout import FITS, POOLS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = 20  # 500 cells each
RECORD_OF_A_FIT = {"steps": 100, "seconds": 1.5, "peak_mb": 200.0}
SETTINGS = {
    "dataset": "skin-phantom[size=16,train=200,test=100]",
    "augmenters": ["oversample", "noise", "classic", *(f"dcgan[steps={steps}]" for steps in range(1, 6))],
    "synthetic": [60, 120, 240],
    "classifiers": [f"kth-cnn[steps={steps}]" for steps in range(1, 5)],
    "split": "5",
}


def make_up(folder: Path, settings: dict[str, Any]) -> None:
    """Write made-up fits, pools and predictions into the store, so that the experiment is finished."""
    plugins = Plugins.load()
    experiment = make_experiment(settings, plugins)
    bench = Bench(prepare(experiment, plugins, folder / "o" / "store"), plugins, folder / "o" / LOGS)
    grid = cells(experiment, bench.prepared.about.folds)
    notes = folder / "notes"
    notes.mkdir()
    (notes / "progress.jsonl").write_text('{"step": 100, "loss": 0.5}\n')
    for job in dict.fromkeys(job for cell in grid for job in cell.needs):
        with bench.store.write(FITS, bench.keys.fit(job)) as draft:
            draft.put_json(RECORD, RECORD_OF_A_FIT)
            draft.put_folder(LOGS, notes)
        with bench.store.write(POOLS, bench.keys.pool(job)) as draft:
            for label in range(2):
                draft.put_array(f"class{label}", np.zeros((0, 16, 16, 3), dtype=np.uint8))
    texts = cache(partial(_made_up_predictions, bench))
    for cell in grid:
        with bench.store.write(PREDICTIONS, bench.keys.predictions(cell)) as draft:
            draft.put_text("predictions.csv", texts(cell.fold))
            draft.put_json(RECORD, RECORD_OF_A_FIT)
            draft.put_folder(LOGS, notes)


def _made_up_predictions(bench: Bench, fold: int) -> str:
    generator = np.random.default_rng(0)
    split = bench.fold(fold)
    parts = []
    for part in ("validation", "test"):
        images = getattr(split, part)
        positive = generator.random((len(images), 1))
        parts.append(Predictions.of(part, fold, images, np.hstack([positive, 1 - positive])))
    return as_text(parts)


def _command(name: str, settings: dict[str, Any]) -> list[str]:
    """A command on the experiment."""
    options = [sys.executable, "-m", "lesionbench", name, "--out", "o"]
    for setting, values in settings.items():
        option = {"augmenters": "augmenter", "classifiers": "classifier"}.get(setting, setting)
        options += [f"--{option}={value}" for value in (values if isinstance(values, list) else [values])]
    return options


@contextmanager
def finished(name: str, options: Options) -> Iterator[Sides]:
    """A command on an experiment whose cells are all finished, and which has been run once since."""
    settings = {**SETTINGS, "seeds": 1 if options.quick else SEEDS}
    folder = Path(_finished(settings["seeds"]).name)
    yield Sides(lambda: cost_of_command(_command(name, settings), folder), None)


@cache
def _finished(seeds: int) -> TemporaryDirectory[str]:
    """The folder of the finished experiment; removed when the program ends."""
    made, settings = TemporaryDirectory(), {**SETTINGS, "seeds": seeds}
    with patch.object(store_module, "sync", _nothing), patch.object(whole_folders, "sync", _nothing):
        make_up(Path(made.name), settings)  # the disk is not what is measured
    cost_of_command(_command("run", settings), Path(made.name))
    return made


def _nothing(_: object) -> None:
    pass


ROWS = [
    Row("finished-run", "a finished grid of 10,000 cells, run again", "s", "", partial(finished, "run")),
    Row("finished-plan", "`lesionbench plan` of it", "s", "", partial(finished, "plan")),
]
