"""The checkpoint of one fit: when it is saved, what it keeps, and what cannot harm the fit."""

import json
import logging

import numpy as np
import pytest

from lesionbench.experiment import checkpoint as checkpoint_module
from lesionbench.experiment.checkpoint import FitCheckpoint
from lesionbench.experiment.progress_log import Progress
from lesionbench.store.checkpoints import Checkpoints

ARRAYS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3).T, "step": np.array(7, np.int64), "none": np.ones(0)}
VALUES = {"loss": float("inf"), "curve": [0.1, 1 / 3], "state": {"position": 624}}


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.fixture
def start(tmp_path):
    """Starts the fit, as often as it was killed: its checkpoint and its progress."""
    numbers = iter(range(10))

    def started(key="key"):
        folder = tmp_path / f"fit-{next(numbers)}"
        folder.mkdir()
        progress = Progress(folder, "cpu")
        return FitCheckpoint(Checkpoints(tmp_path / "unfinished", key), progress), progress

    return started


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(checkpoint_module, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint_module, "SHARE", float("inf"))


def written(tmp_path):
    return list((tmp_path / "unfinished").glob("*")) if (tmp_path / "unfinished").exists() else []


def test_a_fit_of_less_than_five_minutes_writes_nothing(clock, start, tmp_path):
    checkpoint, _ = start()
    clock.now += 299
    assert not checkpoint.due()
    checkpoint.save(7, ARRAYS, VALUES)
    assert written(tmp_path) == []


def test_a_state_is_saved_every_five_minutes(clock, start, tmp_path):
    checkpoint, _ = start()
    assert checkpoint.load() is None
    for step in (10, 20):
        clock.now += 301
        assert checkpoint.due()
        checkpoint.save(step, ARRAYS, VALUES)
        assert not checkpoint.due()
        (place,) = written(tmp_path)
        assert place.name.startswith(f"{step:012}-")


def test_a_state_that_takes_long_to_gather_and_write_is_saved_less_often(clock, start):
    checkpoint, _ = start()
    clock.now += 300
    assert checkpoint.due()
    clock.now += 5  # to gather the state: 5 seconds are 1% of 500
    checkpoint.save(1, ARRAYS, VALUES)
    clock.now += 301
    assert not checkpoint.due()
    clock.now = 1000 + 1000
    assert checkpoint.due()  # two of 5 seconds in 1000


def test_a_large_state_waits_until_a_slow_disk_would_take_less_than_1_percent(clock, start, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "BYTES_PER_SECOND", 10.0)
    checkpoint, _ = start()
    large = {"weights": np.zeros(40, np.uint8)}  # 4 seconds, 1% of 400
    for seconds, expected in ((300, 0), (99, 0), (2, 1)):
        clock.now += seconds
        if checkpoint.due():
            checkpoint.save(1, large)
        assert len(written(tmp_path)) == expected


def test_a_fit_gets_back_its_state_its_cost_and_its_files(every_step, start, caplog):
    checkpoint, progress = start()
    (progress.folder / "pictures").mkdir()
    (progress.folder / "pictures" / "first.png").write_bytes(b"\x89PNG")
    progress(5, 20, loss=1.0)
    checkpoint.save(7, ARRAYS, VALUES)
    progress(10, 20, loss=0.5)
    (progress.folder / "later.txt").write_text("after the checkpoint")

    again, resumed = start()
    with caplog.at_level(logging.INFO, "lesionbench"):
        state = again.load()

    assert state.step == 7
    assert state.values == VALUES
    for name, array in ARRAYS.items():
        assert (state.arrays[name].dtype, state.arrays[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(state.arrays[name], array)
    files = sorted(path.name for path in resumed.folder.rglob("*") if path.is_file())
    assert files == ["first.png", "progress.jsonl"]
    assert caplog.messages == [f"{resumed.folder.name}: resumed at step 7"]

    resumed(10, 20, loss=0.5)
    resumed(15, 20, loss=0.25)
    lines = [json.loads(line) for line in resumed.path.read_text().splitlines()]
    assert [(line["step"], line["loss"], line.get("resumed_at_step")) for line in lines] == [
        (5, 1.0, None),
        (10, 0.5, 7),
        (15, 0.25, None),
    ]


def test_the_cost_counts_the_whole_fit_and_not_what_was_lost(clock, every_step, start):
    checkpoint, progress = start()
    clock.now += 100
    progress(5, 20)
    checkpoint.save(5, ARRAYS)
    clock.now += 1000  # lost when the process is killed

    again, resumed = start()
    again.load()
    clock.now += 20
    resumed(20, 20)
    assert resumed.record().seconds == 120
    assert resumed.record().steps == 20
    assert resumed.record().peak_mb >= progress.record().peak_mb * 0.5


@pytest.mark.parametrize(
    ("arrays", "values"), [({}, {"image": object()}), ({}, {1j}), ({"weights": np.array(["a"])}, 0), ({"list": [1]}, 0)]
)
def test_what_cannot_be_written_is_a_warning(every_step, start, tmp_path, caplog, arrays, values):
    checkpoint, _ = start()
    checkpoint.save(1, arrays, values)
    assert written(tmp_path) == []
    (message,) = caplog.messages
    assert message.startswith("a checkpoint could not be written (")


def test_a_full_disk_is_a_warning(every_step, start, tmp_path, caplog):
    (tmp_path / "unfinished").write_text("not a folder")
    checkpoint, _ = start()
    checkpoint.save(1, ARRAYS)
    assert "a checkpoint could not be written" in caplog.text


def test_a_state_that_breaks_the_fit_is_not_used_again(every_step, start, tmp_path):
    first, progress = start()
    progress(5, 20)
    first.save(5, ARRAYS)

    second, _ = start()
    with pytest.raises(KeyError), second.guarding():
        second.load().arrays["missing"]
    assert written(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_state_from_which_the_fit_went_on_is_kept_when_the_fit_fails_later(every_step, start, tmp_path, error):
    first, progress = start()
    progress(5, 20)
    first.save(5, ARRAYS)

    second, progress = start()
    with pytest.raises(error), second.guarding():
        second.load()
        progress(6, 20)
        raise error
    assert len(written(tmp_path)) == 1
