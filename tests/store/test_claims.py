import json
import os
import subprocess
import sys
import threading

import pytest

from lesionbench.store import claims, owners
from lesionbench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def claim_file(store):
    (found,) = (store.folder / "claims").iterdir()
    return found


def left_by(store, machine=None, started=None):
    """A claim that another process left, on another machine or with the number of this process."""
    with store.claim("fits", "k"):
        record = json.loads(claim_file(store).read_text())
    here, pid, now, rest = record["token"].split("-")
    path = store.folder / "claims" / "fits-k.json"
    path.write_text(json.dumps(record | {"token": "-".join([machine or here, pid, started or now, rest])}))
    return path


def test_one_of_two_has_the_claim_until_it_gives_it_up(store):
    with store.claim("fits", "k") as first, store.claim("fits", "k") as second, store.claim("fits", "l") as other:
        assert (first, second, other) == (True, False, True)
    with store.claim("fits", "k") as again:
        assert again
    assert list((store.folder / "claims").iterdir()) == []


def test_a_claim_is_given_up_when_its_work_fails(store):
    with pytest.raises(RuntimeError), store.claim("fits", "k"):
        raise RuntimeError

    with store.claim("fits", "k") as again:
        assert again


def test_of_many_that_ask_at_once_one_has_the_claim(store):
    start, got = threading.Barrier(8), []

    def ask():
        start.wait()
        with store.claim("fits", "k") as mine:
            got.append(mine)
            start.wait()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [False] * 7 + [True]


def test_the_claim_of_a_killed_process_is_taken_over_at_once(store):
    code = (
        "import os, sys; from pathlib import Path; from lesionbench.store.store import Store\n"
        "with Store(Path(sys.argv[1])).claim('fits', 'k') as mine: print(mine, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, store.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True\n"
        with store.claim("fits", "k") as while_it_lives:
            assert not while_it_lives
        other.kill()
        other.wait()

    with store.claim("fits", "k") as mine:
        assert mine


def test_a_number_that_another_process_has_now_does_not_keep_a_claim(store):
    left_by(store, started="1")

    with store.claim("fits", "k") as mine:
        assert mine


def test_a_claim_of_another_machine_is_taken_over_after_a_minute_without_a_touch(store, monkeypatch):
    path = left_by(store, machine="another")
    now = [1000.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])

    def ask(after):
        now[0] += after
        with store.claim("fits", "k") as mine:
            return mine

    assert not ask(after=0)
    assert not ask(after=50)
    os.utime(path, (0, 0))  # touched, by a machine whose clock is wrong
    assert not ask(after=50)
    assert not ask(after=50)
    assert ask(after=20)


def test_an_owner_touches_its_claim(store, monkeypatch):
    monkeypatch.setattr(owners, "BEAT", 0.01)
    with store.claim("fits", "k"):
        os.utime(claim_file(store), (0, 0))
        while claim_file(store).stat().st_mtime == 0:
            pass


def test_a_claim_that_was_cut_short_holds_for_a_minute(store, monkeypatch):
    left_by(store).write_text("")
    now = [1000.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    with store.claim("fits", "k") as mine:
        assert not mine
    now[0] += 61
    with store.claim("fits", "k") as mine:
        assert mine
