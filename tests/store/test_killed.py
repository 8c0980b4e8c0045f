"""Processes that share a store are killed at random moments."""

import multiprocessing
import os
import random
import sys
import time
from collections import Counter

import numpy as np
import pytest

from lesionbench.store.digests import key_of
from lesionbench.store.store import Store
from lesionbench.store.verifying import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def make_all(folder, log, seed, keys):
    """Make every entry that is missing and that no other process makes, and note in `log` which ones were made."""
    store, chance = Store(folder), random.Random(seed)
    note = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for key in chance.sample(keys, len(keys)):
        if store.has("fits", key):
            continue
        with store.claim("fits", key) as mine:
            if mine and not store.read("fits", key):
                with store.write("fits", key) as draft:
                    draft.put_array("images", np.full(2000, seed % 7, np.uint8))
                    (draft.folder("logs") / "log.txt").write_text("log")
                os.write(note, f"{key}\n".encode())


def start(*arguments):
    process = multiprocessing.get_context("fork").Process(target=make_all, args=arguments)
    process.start()
    return process


@pytest.mark.parametrize("kills", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_after_many_kills_every_entry_was_made_once_and_nothing_is_left(tmp_path, kills):
    folder, log, chance = tmp_path / "store", tmp_path / "log", random.Random(kills)
    store, keys, killed = Store(folder), [key_of(number) for number in range(20 * kills)], 0
    processes = [start(folder, log, seed, keys) for seed in range(3)]
    while killed < kills:
        time.sleep(chance.uniform(0.0, 0.06))
        victim = chance.randrange(3)
        killed += processes[victim].is_alive()
        processes[victim].kill()
        processes[victim].join()
        processes[victim] = start(folder, log, killed + 10, keys)
        if chance.random() < 0.3:
            store.sweep()
    for process in processes:
        process.kill()
        process.join()

    make_all(folder, log, 0, keys)
    store.sweep()

    assert max(Counter(log.read_text().split()).values()) == 1
    verified = verify(store)
    assert (verified.count, verified.flaws) == (len(keys), ())
    assert sorted(path.name for path in folder.iterdir()) == ["claims", "drafts", "fits", "lesionbench-store.json"]
    assert not [path for name in ("claims", "drafts") for path in (folder / name).iterdir()]
