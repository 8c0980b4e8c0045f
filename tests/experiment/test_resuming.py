"""A fit that is killed again and again ends with the same bits as one that is left in peace."""

import json
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from torch import nn
from torch.optim import SGD

from lesionbench.experiment import checkpoint as checkpoint_module
from lesionbench.experiment.bench import RECORD, Bench
from lesionbench.experiment.checkpoint import FitCheckpoint
from lesionbench.experiment.grid import cells
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.progress_log import PROGRESS, Progress
from lesionbench.experiment.settings import make_experiment
from lesionbench.pipeline.context import RunContext
from lesionbench.plugins import Plugins
from lesionbench.store.checkpoints import Checkpoints
from lesionbench.store.layout import FITS
from lesionbench.testing import tiny_images, tiny_training_set
from lesionbench.torchkit.classifying import Schedule, fit_classifier

PLUGINS = Plugins.load()
GANS = [
    "dcgan[steps=24,batch_size=2]",
    "acgan[steps=25,batch_size=4,size=16,width=4]",
    "acgan[steps=25,batch_size=4,size=16,width=2,architecture=odena]",  # has dropout
    "progressive-gan[steps=30,batch_size=4,size=16,width=4,base=32,latent=8,penalty_every=3]",
    "progressive-gan[steps=28,batch_size=4,size=16,width=4,base=32,latent=8,conditioning=per-class]",
]
CLASSIFIERS = [
    "kth-cnn[steps=60,evaluate_every=7,batch_size=8]",  # has dropout
    "frid-adar-cnn[steps=12,evaluate_every=4,batch_size=4]",
    "acgan-discriminator[steps=25,batch_size=4,size=16,width=2,architecture=odena]",
    "batch norm and momentum",
]
LONG = {GANS[0], GANS[2], CLASSIFIERS[1]}  # the others have what these have
KILLS = 10
ONE_PART = {GANS[0], GANS[4]}  # here of a single class; several parts are fitted apart


class Killed(BaseException):
    """Ends a fit like a signal."""


class Unlucky(FitCheckpoint):
    """Saves after about half of the steps, and is killed after about a third of them: ten times in all."""

    def __init__(self, kept, progress, fate):
        super().__init__(kept, progress)
        self.fate = fate

    def due(self):
        if len(self.fate.kills) < KILLS and self.fate.random.random() < 0.35:
            self.fate.kills.append(self.fate.random.random())
            raise Killed
        return self.fate.random.random() < 0.5 and super().due()


class Fate:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.kills = []


class Shifting:
    """Changes images on the fly."""

    def transform(self, images, seed):
        return np.random.default_rng(seed).permutation(images, axis=2)


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(checkpoint_module, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint_module, "SHARE", float("inf"))


def fitted(spec, context):
    if spec in GANS:
        return PLUGINS.augmenter(spec).fit(tiny_images(classes_of(spec), per_class=6), context)
    train = replace(tiny_training_set(), on_the_fly=Shifting())
    if spec == "batch norm and momentum":
        return fit_classifier(normed, partial(SGD, lr=0.01, momentum=0.9), train, context, Schedule(40, 8, 7), 32)
    return PLUGINS.classifier(spec).fit(train, context)


def classes_of(spec):
    return 1 if spec in ONE_PART else 2


def normed():
    convolution = nn.Conv2d(3, 8, 3)
    return nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(8 * 900, 1))


def in_peace(spec, folder):
    folder.mkdir()
    return fitted(spec, RunContext(3, "cpu", "fp32", folder, Progress(folder, "cpu")))


def result(spec, fitted, folder):
    """Everything that a fit gave, as bytes by name: weights, pictures, progress, and samples or scores."""
    (folder / "weights").mkdir()
    fitted.save(folder / "weights")
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PROGRESS
    }
    lines = [json.loads(line) for line in (folder / PROGRESS).read_text().splitlines()]
    found["progress"] = [{k: v for k, v in line.items() if k not in ("seconds", "resumed_at_step")} for line in lines]
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)
    if spec in GANS:
        return found | {f"samples {label}": fitted.sample(label, 20, 5).tobytes() for label in range(classes_of(spec))}
    return found | {"scores": fitted.predict(tiny_images(seed=9).images).tobytes()}


@pytest.mark.parametrize(
    "spec", [pytest.param(spec, marks=[pytest.mark.slow] * (spec in LONG)) for spec in GANS + CLASSIFIERS]
)
def test_a_fit_killed_at_ten_random_steps_ends_with_the_same_bits(spec, every_step, tmp_path):
    expected = result(spec, in_peace(spec, tmp_path / "peace"), tmp_path / "peace")
    kept = Checkpoints(tmp_path / "unfinished", "key")
    fate, resumed = Fate(1), 0
    for attempt in range(KILLS + 1):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        progress = Progress(folder, "cpu")
        checkpoint = Unlucky(kept, progress, fate)
        resumed += any(kept.folder.glob("0*-*"))
        with suppress(Killed):
            last = fitted(spec, RunContext(3, "cpu", "fp32", folder, progress, checkpoint))
            break

    assert len(fate.kills) == KILLS
    assert resumed > KILLS / 2
    assert result(spec, last, folder) == expected
    assert any("resumed_at_step" in json.loads(line) for line in (folder / PROGRESS).read_text().splitlines())


CHILD = """
import os, signal, sys
from pathlib import Path
from lesionbench.experiment import checkpoint
from lesionbench.experiment.checkpoint import FitCheckpoint
from lesionbench.experiment.progress_log import Progress
from lesionbench.pipeline.context import RunContext
from lesionbench.plugins import Plugins
from lesionbench.store import checkpoints
from lesionbench.store.checkpoints import Checkpoints
from lesionbench.testing import tiny_images

spec, folder, unfinished, saves, how = *sys.argv[1:4], int(sys.argv[4]), sys.argv[5]
checkpoint.EVERY, checkpoint.SHARE = 0.0, float("inf")
seal, sealed = checkpoints.seal, []

def die(draft):
    sealed.append(draft)
    if len(sealed) == saves and how == "while it writes":
        (draft / "state" / "arrays.safetensors").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    seal(draft)
    if len(sealed) == saves:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.seal = die
folder = Path(folder)
folder.mkdir()
progress = Progress(folder, "cpu")
context = RunContext(3, "cpu", "fp32", folder, progress, FitCheckpoint(Checkpoints(Path(unfinished), "key"), progress))
sampler = Plugins.load().augmenter(spec).fit(tiny_images(1, per_class=6), context)
(folder / "weights").mkdir()
sampler.save(folder / "weights")
"""


@pytest.mark.slow
def test_a_process_that_gets_sigkill_while_it_trains_and_while_it_writes_loses_nothing(tmp_path):
    spec = GANS[0]
    expected = result(spec, in_peace(spec, tmp_path / "peace"), tmp_path / "peace")
    ends = []
    for attempt, (saves, how) in enumerate(
        [(5, ""), (4, "while it writes"), (12, ""), (1, "while it writes"), (99, "")]
    ):
        folder = tmp_path / str(attempt)
        arguments = [spec, folder, tmp_path / "unfinished", saves, how]
        ends.append(subprocess.run([sys.executable, "-c", CHILD, *map(str, arguments)], timeout=120).returncode)

    assert ends == [-signal.SIGKILL] * 4 + [0]
    for name in ("weights/generators.safetensors", "losses.png", "samples_class-0.png"):
        assert (folder / name).read_bytes() == expected[name], name


@pytest.fixture
def bench_for(tmp_path):
    """What makes a bench for one GAN, with a store; each call gives a new one, as a new process would make."""

    def prepared_for(gan):
        given = {"dataset": "skin-phantom[size=16,train=20,test=12]", "augmenters": gan, "classifiers": "linear"}
        prepared = prepare(make_experiment(given, PLUGINS), PLUGINS, tmp_path / "store")
        return lambda: Bench(prepared, PLUGINS, tmp_path / "logs")

    return prepared_for


def only_job(bench):
    return next(job for cell in cells(bench.prepared.experiment, 1) for job in cell.pools)


def test_a_killed_part_of_a_fit_goes_on_and_the_other_is_not_fitted_again(bench_for, every_step, monkeypatch, caplog):
    bench = bench_for("dcgan[steps=6,batch_size=2]")
    job = only_job(bench())
    first, second = bench().parts_of(job)
    save = FitCheckpoint.save

    def save_and_die(checkpoint, step, *state):
        save(checkpoint, step, *state)
        if step == 4 and checkpoint._progress.folder.name == second.name:
            raise Killed

    monkeypatch.setattr(FitCheckpoint, "save", save_and_die)
    with suppress(Killed):
        for part in (first, second):
            bench().part(part)
    assert (bench().has_part(first), bench().has_part(second)) == (True, False)

    with caplog.at_level("INFO", "lesionbench"):
        bench().sampler(job, log="join")
    assert [message for message in caplog.messages if "resumed" in message] == ["join_1: resumed at step 4"]
    assert bench().fit(job).json(RECORD)["steps"] == 12
    assert bench().fitted_part(first) is bench().fitted_part(second) is None
    assert not list(bench().store.folder.glob("unfinished/*/*"))


def test_a_killed_fit_of_an_experiment_goes_on_once(bench_for, every_step, monkeypatch, caplog):
    bench = bench_for(GANS[1])
    job = only_job(bench())
    key = bench().keys.fit(job)
    save = FitCheckpoint.save

    def save_and_die(checkpoint, step, *state):
        save(checkpoint, step, *state)
        if step == 17:
            raise Killed

    monkeypatch.setattr(FitCheckpoint, "save", save_and_die)
    with pytest.raises(Killed):
        bench().sampler(job)
    unfinished = bench().store.checkpoints(FITS, key)
    assert len(list(unfinished.folder.iterdir())) == 1

    with caplog.at_level("INFO", "lesionbench"):
        sampler = bench().sampler(job)
    assert caplog.messages.count(f"{job.name}: resumed at step 17") == 1
    assert not unfinished.folder.exists()
    record = bench().store.read(FITS, key).json(RECORD)
    assert record["steps"] == 25
    monkeypatch.undo()
    assert np.array_equal(sampler.sample(0, 4, 1), bench().sampler(job).sample(0, 4, 1))
