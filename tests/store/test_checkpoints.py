import logging
import shutil

import pytest

from lesionbench.store.checkpoints import Checkpoints
from lesionbench.store.layout import FITS
from lesionbench.store.store import Store


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "unfinished", "key")


def write(checkpoints, step, text="state"):
    with checkpoints.write(step) as draft:
        draft.put_text("state.txt", text)


def text_of(entry):
    return entry.text("state.txt")


def test_without_a_checkpoint_there_is_none(checkpoints):
    assert checkpoints.read(text_of) is None


def test_the_last_checkpoint_is_read_and_the_one_before_is_gone(checkpoints):
    write(checkpoints, 9, "nine")
    write(checkpoints, 10, "ten")

    assert checkpoints.read(text_of) == "ten"
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_a_checkpoint_whose_writing_fails_leaves_the_one_before(checkpoints):
    write(checkpoints, 9, "nine")
    with pytest.raises(KeyboardInterrupt), checkpoints.write(10) as draft:
        draft.put_text("state.txt", "half")
        raise KeyboardInterrupt

    assert checkpoints.read(text_of) == "nine"
    assert len(list(checkpoints.folder.iterdir())) == 1


@pytest.mark.parametrize("damage", ["shorten", "remove", "no manifest", "of another fit"])
def test_a_damaged_or_foreign_checkpoint_is_named_and_not_used(checkpoints, caplog, damage):
    write(checkpoints, 9)
    (place,) = checkpoints.folder.iterdir()
    if damage == "shorten":
        (place / "state.txt").write_text("stat")
    elif damage == "remove":
        (place / "state.txt").unlink()
    elif damage == "no manifest":
        (place / "manifest.json").unlink()
    else:
        shutil.copytree(checkpoints.folder, checkpoints.folder.with_name("other"))
        checkpoints = Checkpoints(checkpoints.folder.with_name("other"), "other key")
    with caplog.at_level(logging.WARNING, "lesionbench"):
        assert checkpoints.read(text_of) is None

    (message,) = caplog.messages
    assert "is damaged or belongs to another fit, so it is not used" in message


def test_a_foreign_folder_among_the_checkpoints_is_left_alone(checkpoints):
    write(checkpoints, 9)
    (checkpoints.folder / "99-notes").mkdir()
    write(checkpoints, 10)

    assert checkpoints.read(text_of) == "state"
    assert (checkpoints.folder / "99-notes").is_dir()


def test_a_checkpoint_that_another_process_replaces_while_it_is_read_is_no_loss(checkpoints):
    write(checkpoints, 9, "nine")
    other = Checkpoints(checkpoints.folder, "key")

    def slowly(entry):
        if other.read(text_of) == "nine":
            write(other, 10, "ten")
        return entry.text("state.txt")

    assert checkpoints.read(slowly) == "ten"


def test_two_processes_with_one_fit_keep_the_checkpoint_with_more_steps(checkpoints):
    ahead, behind = checkpoints, Checkpoints(checkpoints.folder, "key")
    write(ahead, 20, "ahead")
    write(behind, 10, "behind")
    assert behind.read(text_of) == "ahead"

    ahead.remove()
    write(behind, 30, "behind")
    assert behind.read(text_of) == "behind"


def test_a_sweep_removes_the_checkpoints_of_finished_fits_alone(tmp_path):
    store = Store(tmp_path)
    for key in ("finished", "unfinished"):
        write(store.checkpoints(FITS, key), 1)
    with store.write(FITS, "finished"):
        pass
    store.sweep()

    assert store.checkpoints(FITS, "finished").read(text_of) is None
    assert store.checkpoints(FITS, "unfinished").read(text_of) == "state"
