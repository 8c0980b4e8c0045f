"""Pruning deletes what no run uses, and nothing else."""

import os
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lesionbench.errors import OutputError, SettingsError
from lesionbench.store.digests import key_of
from lesionbench.store.inventory import take_inventory
from lesionbench.store.layout import CODE, KINDS
from lesionbench.store.pruning import plan_pruning, prune
from lesionbench.store.store import Store
from lesionbench.store.uses import read_uses, use_of
from lesionbench.store.verifying import verify

KEYS = [key_of(number) for number in range(4)]


def write(store, kind, key, days=0.0):
    with store.write(kind, key) as draft:
        draft.put_text("file.txt", "content")
    made = time.time() - days * 86_400
    os.utime(store.folder / kind / key, (made, made))


@pytest.fixture
def store(tmp_path):
    """A store with four fits, of which run `a` uses the first two and run `b` the second and third."""
    store = Store(tmp_path / "store")
    for key in KEYS:
        write(store, "fits", key)
    for run, keys in (("a", KEYS[:2]), ("b", KEYS[1:3])):
        (tmp_path / run).mkdir()
        store.note_use(tmp_path / run, [("fits", key) for key in keys])
    return store


def fits(store):
    return [key for key in KEYS if store.has("fits", key)]


def pruned(store, **how):
    prune(store, plan_pruning(store, **how))
    return fits(store)


def test_folders_that_the_store_did_not_write_are_left_alone(store):
    strange = [store.folder / "damaged" / "my notes", store.folder / "unfinished" / "fits" / "mine"]
    for folder in strange:
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))

    pruned(store)

    assert all(folder.is_dir() for folder in strange)


def test_only_what_no_run_uses_is_deleted(store):
    planned = plan_pruning(store)
    assert [item.name for item in planned.entries.items] == [("fits", KEYS[3])]
    assert fits(store) == KEYS

    prune(store, planned)

    assert fits(store) == KEYS[:3]
    assert verify(store).flaws == ()
    assert list((store.folder / "drafts").iterdir()) == []


def test_a_run_that_is_not_found_keeps_its_entries_until_it_is_forgotten(store, tmp_path):
    shutil.rmtree(tmp_path / "b")

    assert [use.folder.name for use in plan_pruning(store).not_found] == ["b"]
    assert pruned(store) == KEYS[:3]
    assert pruned(store, forget=[tmp_path / "b"]) == KEYS[:2]
    assert [use.folder.name for use in read_uses(store.folder)] == ["a"]


def test_a_run_that_is_there_cannot_be_forgotten(store, tmp_path):
    with pytest.raises(SettingsError, match="only a run whose folder is gone can be forgotten"):
        plan_pruning(store, forget=[tmp_path / "b"])
    with pytest.raises(SettingsError, match=r"this store knows .*a, .*b; .*c is none of them"):
        plan_pruning(store, forget=[tmp_path / "c"])


def test_newer_entries_are_kept_when_only_older_ones_are_to_go(store):
    write(store, "pools", KEYS[0], days=10)
    write(store, "pools", KEYS[1], days=3)

    prune(store, plan_pruning(store, older=5))

    assert not store.has("pools", KEYS[0])
    assert store.has("pools", KEYS[1])
    assert fits(store) == KEYS


def test_what_is_being_made_is_kept(store):
    with store.claim("fits", KEYS[3]) as mine:
        assert mine
        assert pruned(store) == KEYS


def test_what_a_run_begins_to_use_meanwhile_is_kept(store, tmp_path):
    planned = plan_pruning(store)
    (tmp_path / "c").mkdir()
    store.note_use(tmp_path / "c", [("fits", KEYS[3])])

    prune(store, planned)

    assert fits(store) == KEYS


def test_checkpoints_are_deleted_when_no_run_waits_for_them_and_they_are_old(store):
    for key in (KEYS[0], key_of("old"), key_of("new")):
        with store.checkpoints("fits", key).write(1) as draft:
            draft.put_text("state.txt", "state")
    for key in (KEYS[0], key_of("old")):
        os.utime(store.folder / "unfinished" / "fits" / key, (0, 0))

    prune(store, plan_pruning(store))

    left = {path.name for path in (store.folder / "unfinished" / "fits").iterdir()}
    assert left == {KEYS[0], key_of("new")}


def test_damaged_entries_are_deleted(store):
    (store.folder / "fits" / KEYS[0] / "file.txt").write_text("other")
    assert len(verify(store, set_aside=True).flaws) == 1

    prune(store, plan_pruning(store))

    assert list((store.folder / "damaged").iterdir()) == []


def test_a_store_in_which_no_run_noted_anything_is_not_pruned(tmp_path):
    store = Store(tmp_path / "store")
    write(store, "fits", KEYS[0])

    with pytest.raises(OutputError, match=r"no run has noted what it uses .* run the experiments of this store again"):
        plan_pruning(store)


@pytest.mark.parametrize("text", ["", "[]", '{"folder": 3, "uses": {}}', '{"folder": "x", "uses": {"fits": 3}}'])
def test_a_damaged_note_is_named_and_nothing_is_deleted(store, text):
    note = sorted((store.folder / "uses").iterdir())[0]
    note.write_text(text)

    with pytest.raises(OutputError, match=f"{note.name} is damaged, so it is not known which entries a run uses"):
        plan_pruning(store)


def test_a_run_and_the_store_in_it_can_be_moved(tmp_path):
    store = Store(tmp_path / "run" / "store")
    write(store, "fits", KEYS[0])
    store.note_use(tmp_path / "run", [("fits", KEYS[0])])
    (tmp_path / "run").rename(tmp_path / "moved")

    (use,) = read_uses(tmp_path / "moved" / "store")

    assert use.folder == tmp_path / "moved"
    assert use.is_there


def test_the_user_s_own_files_in_a_store_are_not_touched(store):
    mine = [store.folder / "fits" / "notes" / "a.txt", store.folder / "mine.txt", store.folder / "fits" / "list.csv"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))

    pruned(store)
    store.sweep()

    assert all(path.read_text() == "mine" for path in mine)


NAMES = st.tuples(st.sampled_from(KINDS), st.sampled_from(KEYS))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=st.sets(NAMES, max_size=8), uses=st.lists(st.sets(NAMES, max_size=4), min_size=1, max_size=3))
def test_pruning_keeps_the_union_of_what_runs_use(tmp_path_factory, there, uses):
    folder = tmp_path_factory.mktemp("any")
    store = Store(folder / "store")
    for name in there:
        write(store, *name)
    for number, names in enumerate(uses):
        store.note_use(folder / str(number), names)  # the folders are not there

    prune(store, plan_pruning(store))

    left = {item.name for share in take_inventory(store.folder).kinds.values() for item in share.items}
    assert left == {name for name in there if name[0] == CODE or any(name in names for names in uses)}


def test_runs_of_two_machines_in_folders_of_one_name_both_keep_their_entries(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    (tmp_path / "run").mkdir()
    for machine, key in (("one", KEYS[0]), ("two", KEYS[1])):
        write(store, "fits", key)
        monkeypatch.setattr("lesionbench.store.uses.socket.gethostname", lambda machine=machine: machine)
        store.note_use(tmp_path / "run", [("fits", key)])

    assert use_of(store.folder, tmp_path / "run").entries == {("fits", KEYS[0]), ("fits", KEYS[1])}
    assert plan_pruning(store).entries.items == ()
