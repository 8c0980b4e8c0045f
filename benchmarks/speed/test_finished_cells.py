"""Planning and skipping 10,000 finished cells: processor seconds and peak memory, without the tables of evidence.

The cells are made up: entries of the store under their real keys, with predictions that nobody computed.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from lesionbench.experiment.bench import LOGS, RECORD, Bench
from lesionbench.experiment.grid import cells
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.settings import make_experiment
from lesionbench.pipeline.predictions import Predictions, as_text
from lesionbench.plugins import Plugins
from lesionbench.store import store as store_module
from lesionbench.store import whole_folders
from lesionbench.store.layout import FITS, POOLS, PREDICTIONS

SEEDS = int(os.environ.get("SEEDS", "20"))  # 500 cells each
RECORD_OF_A_FIT = {"steps": 100, "seconds": 1.5, "peak_mb": 200.0}
SETTINGS = {
    "dataset": "skin-phantom[size=16,train=200,test=100]",
    "augmenters": ["oversample", "noise", "classic", *(f"dcgan[steps={steps}]" for steps in range(1, 6))],
    "synthetic": [60, 120, 240],
    "classifiers": [f"kth-cnn[steps={steps}]" for steps in range(1, 5)],
    "seeds": SEEDS,
    "split": "5",
}


def make_up(folder):
    """An output folder whose store holds every fit, pool and prediction of the experiment; returns its cells."""
    plugins = Plugins.load()
    experiment = make_experiment(SETTINGS, plugins)
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
    for cell in grid:
        with bench.store.write(PREDICTIONS, bench.keys.predictions(cell)) as draft:
            draft.put_text("predictions.csv", made_up_predictions(bench, cell.fold))
            draft.put_json(RECORD, RECORD_OF_A_FIT)
            draft.put_folder(LOGS, notes)
    return len(grid)


def made_up_predictions(bench, fold):
    generator = np.random.default_rng(0)
    split = bench.fold(fold)
    parts = []
    for part in ("validation", "test"):
        images = getattr(split, part)
        positive = generator.random((len(images), 1))
        parts.append(Predictions.of(part, fold, images, np.hstack([positive, 1 - positive])))
    return as_text(parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which every cell is finished, and in which a run has looked at them once."""
    made = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        for module in (store_module, whole_folders):  # the disk is not what is measured
            patch.setattr(module, "sync", lambda _: None)
        make_up(made)
    cost(RUN, made)
    return made


def options():
    """The options of the experiment."""
    for name, values in SETTINGS.items():
        option = {"augmenters": "augmenter", "classifiers": "classifier"}.get(name, name)
        for value in values if isinstance(values, list) else [values]:
            yield f"--{option}={value}"


PLAN = ("plan", *options(), "--out", "o")
RUN = ("run", *options(), "--out", "o", "--quiet")
PROGRAM = """
import os, resource, sys
import lesionbench.experiment.runner
from lesionbench.cli.main import main

def end(*_):
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
    sys.stdout.flush()
    os._exit(0)

lesionbench.experiment.runner.write_tables = end
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
    end()
"""


def cost(command, folder):
    """Processor seconds and MB of a command; of a run, until it would make its tables."""
    arguments = [sys.executable, "-c", PROGRAM, *command]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()[-2:]))


@pytest.mark.benchmark(group="finished cells")
@pytest.mark.parametrize("command", [PLAN, RUN], ids=["plan", "run"])
def test_finished_cells_are_found_in_seconds(benchmark, folder, command):
    seconds, megabytes = benchmark.pedantic(cost, (command, folder), rounds=1)

    benchmark.extra_info.update(processor_seconds=seconds, megabytes=megabytes)
    assert seconds < 5
    assert megabytes < 500
