import logging
from pathlib import Path
from types import SimpleNamespace

from lesionbench.experiment.tasks import _its_files, try_to_draw


def test_a_task_begins_while_the_end_of_another_removes_the_folder(tmp_path, monkeypatch):
    touch, removed = Path.touch, []

    def touch_late(path):
        if not removed:
            removed.append(path.parent)
            path.parent.rmdir()
        touch(path)

    monkeypatch.setattr(Path, "touch", touch_late)

    with _its_files(SimpleNamespace(name="cell"), tmp_path) as (log, _):
        assert log.exists()

    assert removed
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_drawn_is_logged_and_costs_nothing(caplog):
    def broken():
        raise OSError("no space left")

    with caplog.at_level(logging.WARNING, "lesionbench"):
        try_to_draw(broken)

    assert [record.getMessage() for record in caplog.records] == [
        "a picture could not be drawn (OSError: no space left)"
    ]


def test_a_picture_that_can_be_drawn_is_drawn():
    made = []

    try_to_draw(lambda: made.append("picture"))

    assert made == ["picture"]
