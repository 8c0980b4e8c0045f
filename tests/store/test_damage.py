"""Whatever happens to the files of an entry, it is there whole or it counts as missing, and is made again."""

import json
import os
import random
import shutil
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lesionbench.store.digests import file_digest, key_of
from lesionbench.store.store import Store
from lesionbench.store.whole_folders import find_flaw, is_whole

KEY = key_of("anything")


def make(store, key=KEY):
    """An entry with every kind of file that datasets, splits, fits, pools and predictions have."""
    with store.write("fits", key) as draft:
        draft.put_array("images", np.arange(300, dtype=np.uint8).reshape(2, 10, 5, 3))
        draft.put_array("parts", np.array([["train", "test"]]))
        draft.put_text("predictions.csv", "id,score\na,0.5\n")
        draft.put_json("record", {"steps": 3})
        (draft.folder("sampler") / "network.safetensors").write_bytes(bytes(range(256)))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    make(store)
    return store


def entry(store):
    return store.folder / "fits" / KEY


def made_again(store):
    """Make the entry again; the damaged one must be beside it."""
    make(store)
    return store.read("fits", KEY) is not None and len(list((store.folder / "damaged").iterdir())) == 1


@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_bit_anywhere_is_noticed(store, seed):
    chance = random.Random(seed)
    path = chance.choice(sorted(path for path in entry(store).rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    before = bytes(content)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)

    if path.name == "manifest.json" and same_json(before, content):
        return  # a blank became another blank
    assert store.read("fits", KEY) is None
    assert made_again(store)


def same_json(one, other):
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def change_manifest(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def name_outside(folder):
    outside = folder.parent.parent / "secret.txt"
    outside.write_text("secret")
    change_manifest(folder, lambda manifest: manifest.update({"../../secret.txt": file_digest(outside)}))


def link_to_copy(folder):
    copy = shutil.copy(folder / "record.json", folder.parent.parent / "copy")
    (folder / "record.json").unlink()
    (folder / "record.json").symlink_to(copy)


def pipe_in_its_place(folder):
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")


def npy_of(folder, header, tail=b""):
    """Replace the images by a file with this header, and have the manifest say so."""
    text = header.encode() + b" " * (118 - len(header) - 1) + b"\n"
    (folder / "images.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + tail)
    change_manifest(folder, lambda manifest: manifest.update({"images.npy": file_digest(folder / "images.npy")}))


DAMAGE = {
    "a file more": lambda folder: (folder / "is_test.npy").write_bytes(b"x"),
    "a link more": lambda folder: (folder / "link").symlink_to("record.json"),
    "a link to the same content": link_to_copy,
    "a pipe, which would never end": pipe_in_its_place,
    "a folder in place of a file": lambda folder: ((folder / "record.json").unlink(), (folder / "record.json").mkdir()),
    "the manifest names a file outside": name_outside,
    "the manifest names the root": lambda folder: change_manifest(folder, lambda m: m.update({"/etc/passwd": "0"})),
    "the manifest is a list": lambda folder: (folder / "manifest.json").write_text("[]"),
    "the manifest is deep": lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
    "the manifest is empty": lambda folder: (folder / "manifest.json").write_text(""),
    "the manifest names no file": lambda folder: (folder / "manifest.json").write_text("{}"),
    "the manifest has numbers for checksums": lambda folder: change_manifest(
        folder, lambda m: m.update({"record.json": 7})
    ),
    "the manifest is a folder": lambda folder: (
        (folder / "manifest.json").unlink(),
        (folder / "manifest.json").mkdir(),
    ),
    "an array of an exabyte": lambda folder: npy_of(
        folder, "{'descr': '|u1', 'fortran_order': False, 'shape': (2**60,)}"
    ),
    "an array of 10^18": lambda folder: npy_of(
        folder, "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000000,)}"
    ),
    "an array of negative size": lambda folder: npy_of(
        folder, "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -3)}", b"abc"
    ),
    "an array of pickles": lambda folder: npy_of(folder, "{'descr': '|O', 'fortran_order': False, 'shape': (0,)}"),
    "an array of anything": lambda folder: npy_of(folder, "{'descr': [[[[", b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_entry_that_is_not_as_it_was_written_is_made_again(store, damage):
    DAMAGE[damage](entry(store))

    assert store.read("fits", KEY) is None
    assert made_again(store)


def test_a_manifest_of_any_length_takes_no_memory(store):
    with (entry(store) / "manifest.json").open("wb") as file:
        file.truncate(2**34)  # 16 GB of zeros, on no disk

    assert store.read("fits", KEY) is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_content_of_an_array_file_is_read_or_refused(tmp_path, content):
    folder = tmp_path / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for start in (b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):
        (folder / "a.npy").write_bytes(start + content)
        (folder / "manifest.json").write_text(json.dumps({"a.npy": file_digest(folder / "a.npy")}))
        if is_whole(folder):
            np.load(folder / "a.npy")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    manifest=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    )
)
def test_any_manifest_is_refused_by_name(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert manifest == {} or isinstance(find_flaw(tmp_path), str)


def test_what_file_managers_leave_in_an_entry_costs_no_fit(store):
    (entry(store) / "sampler" / ".DS_Store").write_bytes(b"x")

    assert store.read("fits", KEY) is not None


def test_reading_a_damaged_entry_changes_nothing(store):
    (entry(store) / "record.json").write_text("{}")
    before = sorted(store.folder.rglob("*"))

    assert store.read("fits", KEY) is None
    assert sorted(store.folder.rglob("*")) == before


def test_processes_that_meet_one_damaged_entry_leave_one_whole_entry(store):
    for _ in range(10):
        (entry(store) / "record.json").write_text("{}")
        start, failures = threading.Barrier(6), []

        def remake(start=start, failures=failures):
            start.wait()
            try:
                if store.read("fits", KEY) is None:
                    make(store)
                assert store.read("fits", KEY) is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=remake) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
    assert all(find_flaw(path) for path in (store.folder / "damaged").iterdir())


def test_an_entry_that_was_made_again_meanwhile_is_not_set_aside(store):
    store.set_aside("fits", KEY)

    assert store.read("fits", KEY) is not None
    assert not (store.folder / "damaged").exists()


def test_an_entry_that_vanishes_while_it_is_read_counts_as_missing(store, monkeypatch):
    def vanish(path, *_):
        shutil.rmtree(entry(store))
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr("lesionbench.store.whole_folders.file_digest", vanish)

    assert store.read("fits", KEY) is None
