"""A disk that is full, read-only or far away: an error that says so, and nothing half there."""

import errno
import os
import pathlib
import stat
from contextlib import suppress

import numpy as np
import pytest

from lesionbench.store.digests import key_of
from lesionbench.store.store import Store
from lesionbench.store.whole_files import write_whole

KEY = key_of("anything")
WRITING = [  # every way in which the store changes a disk
    *((os, name) for name in ("mkdir", "rename", "replace", "link", "fsync", "utime", "fdopen")),
    *((pathlib.Path, name) for name in ("write_text", "write_bytes")),
    (np, "save"),
]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def make(store):
    with store.write("fits", KEY) as draft:
        draft.put_array("images", np.zeros((2, 3), np.uint8))
        draft.put_json("record", {"steps": 3})
        (draft.folder("logs") / "log.txt").write_text("log")


class Disk:
    """Fails from the change number `first` on, and counts the changes."""

    def __init__(self, patch, first, error, lasting=True):
        self.first, self.error, self.lasting, self.changes = first, error, lasting, 0
        for place, name in WRITING:
            patch.setattr(place, name, self.failing(getattr(place, name)))

    def failing(self, real):
        def change(*arguments, **named):
            self.changes += 1
            if self.changes == self.first or (self.lasting and self.changes > self.first):
                raise OSError(self.error, os.strerror(self.error))
            return real(*arguments, **named)

        return change


def drafts(store):
    return list((store.folder / "drafts").glob("*"))


def is_whole_or_missing(store):
    there = (store.folder / "fits" / KEY).exists()
    return there == (store.read("fits", KEY) is not None)


ACTS = {
    "write": make,
    "claim": lambda store: store.claim("fits", KEY).__enter__(),
    "note_use": lambda store: store.note_use(store.folder.parent / "run", [("fits", KEY)]),
}


@pytest.mark.parametrize("lasting", [True, False])
@pytest.mark.parametrize("act", ACTS)
def test_a_full_disk_leaves_nothing_half_there_whenever_it_fills(store, act, lasting):
    failures = 0
    for first in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, first, errno.ENOSPC, lasting)
            try:
                ACTS[act](store)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
                failures += 1
        assert drafts(store) == []
        assert is_whole_or_missing(store)
        assert all(path.stat().st_size for path in store.folder.rglob("*.json"))
        if disk.changes < first:
            break

    assert failures >= 3
    make(store)
    assert store.read("fits", KEY) is not None


@pytest.mark.parametrize("code", [errno.EEXIST, errno.ENOTEMPTY, errno.ESTALE, errno.EIO])
def test_a_rename_that_fails_once_as_on_network_disks_loses_nothing(store, monkeypatch, code):
    real, failed = pathlib.Path.rename, []

    def rename(path, target):
        if not failed:
            failed.append(target)
            raise OSError(code, os.strerror(code))
        return real(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", rename)
    make(store)

    assert failed
    assert store.read("fits", KEY) is not None


@pytest.mark.parametrize("code", [errno.EEXIST, errno.ENOENT, errno.ESTALE])
def test_a_rename_that_succeeds_and_reports_a_failure_is_a_success(store, monkeypatch, code):
    real = pathlib.Path.rename

    def rename(path, target):
        real(path, target)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pathlib.Path, "rename", rename)
    make(store)

    assert store.read("fits", KEY) is not None
    assert drafts(store) == []


def test_a_rename_that_always_fails_is_an_error_and_leaves_nothing(store, monkeypatch):
    def rename(path, target):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(pathlib.Path, "rename", rename)
    with pytest.raises(OSError, match="Stale file handle"):
        make(store)

    assert drafts(store) == []
    assert is_whole_or_missing(store)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_store_that_cannot_be_written_to_can_be_read_and_run_from(store, monkeypatch, code):
    make(store)
    Disk(monkeypatch, 1, code)

    assert store.read("fits", KEY) is not None
    assert store.has("fits", KEY)
    store.note_use(store.folder.parent / "run", [("fits", KEY)])
    store.sweep()
    with pytest.raises(OSError, match=os.strerror(code)):
        make(store)


def test_a_damaged_entry_of_a_store_that_cannot_be_written_to_counts_as_missing(store, monkeypatch):
    make(store)
    (store.folder / "fits" / KEY / "record.json").write_text("{}")
    Disk(monkeypatch, 1, errno.EROFS)

    assert store.read("fits", KEY) is None


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.ENOMEM])
def test_an_entry_that_cannot_be_read_now_does_not_count_as_damaged(store, monkeypatch, code):
    make(store)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        store.read("fits", KEY)


def test_entries_have_the_permissions_that_the_user_gives_to_new_files(store):
    before = os.umask(0o002)
    with suppress(Exception):
        make(store)
    os.umask(before)

    assert stat.S_IMODE((store.folder / "fits" / KEY).stat().st_mode) == 0o775


def test_a_disk_without_locks_keeps_no_draft_of_a_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("lesionbench.store.whole_files.fcntl.flock", refuse)

    write_whole(tmp_path / "table.csv", "a,b\n")

    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
