import threading

import numpy as np
import pytest

from lesionbench.store.digests import key_of
from lesionbench.store.store import Store
from lesionbench.store.whole_files import write_whole


def write(store, key="k", text="content"):
    with store.write("kind", key) as draft:
        (draft.folder("inner") / "file.txt").write_text(text)


def test_an_entry_is_found_again_with_its_content(tmp_path):
    store = Store(tmp_path)
    write(store)

    assert (store.read("kind", "k").folder("inner") / "file.txt").read_text() == "content"
    assert store.has("kind", "k")
    assert store.read("kind", "other") is None
    assert not store.has("kind", "other")


def test_arrays_texts_json_and_folders_come_back_as_they_were_written(tmp_path):
    store = Store(tmp_path / "store")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "losses.txt").write_text("1\n")
    array = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)

    with store.write("kind", "k") as draft:
        draft.put_array("images", array)
        draft.put_text("table.csv", "a\r\nb\n")
        draft.put_json("facts", {"steps": 3})
        draft.put_folder("logs", tmp_path / "notes")
    entry = store.read("kind", "k")

    assert entry.array("images").dtype == np.uint8
    assert np.array_equal(entry.array("images"), array)
    assert entry.text("table.csv").encode() == b"a\r\nb\n"
    assert entry.json("facts") == {"steps": 3}
    assert (entry.folder("logs") / "losses.txt").read_text() == "1\n"
    assert entry.has("logs")
    assert not entry.has("other")


def test_an_array_of_python_objects_is_refused_because_it_would_be_pickled(tmp_path):
    store, key = Store(tmp_path / "s"), key_of([1])
    with pytest.raises(ValueError, match="pickle"), store.write("fits", key) as draft:
        draft.put_array("objects", np.array([{}, None]))
    assert not store.has("fits", key)


def test_an_entry_whose_writing_fails_is_not_there(tmp_path):
    store = Store(tmp_path)

    with pytest.raises(RuntimeError, match="stop"), store.write("kind", "k") as draft:
        draft.put_text("file.txt", "half")
        raise RuntimeError("stop")

    assert store.read("kind", "k") is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lesionbench-store.json"]


@pytest.mark.parametrize("damage", ["shorten", "remove", "no manifest", "manifest is no json"])
def test_a_damaged_entry_counts_as_missing_and_is_set_aside_when_it_is_made_again(tmp_path, damage):
    store = Store(tmp_path)
    write(store)
    entry = tmp_path / "kind" / "k"
    {
        "shorten": lambda: (entry / "inner" / "file.txt").write_text("conten"),
        "remove": lambda: (entry / "inner" / "file.txt").unlink(),
        "no manifest": lambda: (entry / "manifest.json").unlink(),
        "manifest is no json": lambda: (entry / "manifest.json").write_text("{"),
    }[damage]()

    assert store.read("kind", "k") is None
    assert not (tmp_path / "damaged").exists()
    write(store)
    assert store.read("kind", "k") is not None
    assert len(list((tmp_path / "damaged").iterdir())) == 1


def test_two_writers_of_one_entry_leave_one_whole_entry(tmp_path):
    store = Store(tmp_path)
    threads = [threading.Thread(target=write, args=(store,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.read("kind", "k") is not None
    assert [path.name for path in (tmp_path / "kind").iterdir()] == ["k"]


def test_a_key_does_not_depend_on_the_order_of_names_but_on_every_value():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1, "b": [2]}) != key_of({"a": 1, "b": [3]})
    assert key_of({"a": 1}) != key_of({"a": "1"})


def test_a_value_without_one_json_form_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        key_of({"a": float("nan")})


def test_a_text_is_replaced_whole(tmp_path):
    path = tmp_path / "table.csv"
    write_whole(path, "a\nb\n")
    write_whole(path, "c\n")

    assert path.read_bytes() == b"c\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_an_entry_keeps_what_its_key_was_made_from(tmp_path):
    store, inputs = Store(tmp_path), {"seed": 3, "of": ["a", 1]}
    with store.write("kind", key_of(inputs), inputs) as draft:
        draft.put_text("file.txt", "content")

    assert store.read("kind", key_of(inputs)).json("inputs") == inputs


def test_the_draft_of_a_killed_process_is_written_over_and_gone(tmp_path):
    (tmp_path / ".table.csv.part").write_text("half of a longer text")
    write_whole(tmp_path / "table.csv", "a\n")

    assert (tmp_path / "table.csv").read_text() == "a\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_many_writers_of_one_text_leave_one_whole_text(tmp_path):
    texts = [str(number) * 10_000 for number in range(4)]

    def write_often(text):
        for _ in range(8):
            write_whole(tmp_path / "table.csv", text)

    threads = [threading.Thread(target=write_often, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "table.csv").read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_a_text_whose_writing_fails_is_as_it_was_before(tmp_path, monkeypatch):
    write_whole(tmp_path / "table.csv", "a\n")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "table.csv", "b\n")

    assert (tmp_path / "table.csv").read_text() == "a\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]
