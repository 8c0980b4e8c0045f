"""A store at a URL, on fsspec's memory and on a server that speaks S3."""

import logging
import threading
import uuid
import zipfile

import fsspec
import numpy as np
import pytest

from lesionbench.errors import OutputError, SettingsError, StoreError
from lesionbench.store import remote_files
from lesionbench.store.addresses import open_store
from lesionbench.store.digests import key_of
from lesionbench.store.layout import POOLS, PREDICTIONS
from lesionbench.store.remote import RemoteStore

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(remote_files, "PAUSES", (0.0, 0.0))


@pytest.fixture(params=["memory", "s3"])
def address(request, monkeypatch):
    """An address where nothing is stored yet."""
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/store"
    server = request.getfixturevalue("s3_server")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"{server.make_bucket(f'bucket-{uuid.uuid4().hex}')}/some/path"


def write(store, kind=POOLS, key=KEY, value=7):
    with store.write(kind, key) as draft:
        draft.folder("empty")
        draft.put_array("images", np.full((2, 3), value, np.uint8))
        (draft.folder("sampler") / "weights.txt").write_text("0.5\r\n", newline="")


def files_at(address):
    system, root = fsspec.core.url_to_fs(address)
    system.invalidate_cache()
    return system, {path.removeprefix(f"{root}/"): path for path in system.find(root)}


def test_what_one_machine_wrote_another_reads(address, tmp_path):
    here, there = RemoteStore(address, tmp_path / "here"), RemoteStore(address, tmp_path / "there")
    write(here)

    assert there.has(POOLS, KEY)
    assert not there.has(POOLS, OTHER)
    entry = there.read(POOLS, KEY)
    assert entry.folder("empty").is_dir()
    assert np.array_equal(entry.array("images"), np.full((2, 3), 7, np.uint8))
    assert (entry.folder("sampler") / "weights.txt").read_bytes() == b"0.5\r\n"
    assert there.read(POOLS, OTHER) is None
    assert there.read(PREDICTIONS, KEY) is None


def test_an_entry_is_one_object_beside_the_mark_of_the_store(address, tmp_path):
    write(RemoteStore(address, tmp_path))

    assert set(files_at(address)[1]) == {"lesionbench-store.json", f"pools/{KEY}.zip"}


def test_what_was_read_once_is_read_again_without_the_server(address, tmp_path):
    write(RemoteStore(address, tmp_path / "here"))
    RemoteStore(address, tmp_path / "there").read(POOLS, KEY)
    system, found = files_at(address)
    system.rm_file(found[f"pools/{KEY}.zip"])

    assert RemoteStore(address, tmp_path / "there").read(POOLS, KEY) is not None
    assert RemoteStore(address, tmp_path / "elsewhere").read(POOLS, KEY) is None


def test_thousands_of_questions_take_one_listing(address, tmp_path, monkeypatch):
    write(RemoteStore(address, tmp_path / "here"))
    there = RemoteStore(address, tmp_path / "there")
    asked = []
    monkeypatch.setattr(there.files, "_ask", lambda request, ask=there.files._ask: asked.append(1) or ask(request))

    with there.listed():
        found = [key for key in [KEY, *(f"{number:064x}" for number in range(2000))] if there.has(POOLS, key)]
        assert all(there.read(POOLS, f"{number:064x}") is None for number in range(2000))

    assert found == [KEY]
    assert len(asked) == 1


@pytest.mark.parametrize("damage", ["shorten", "flip a bit", "not a zip", "another content"])
def test_a_damaged_object_is_named_and_made_again(address, tmp_path, damage, caplog):
    here, there = RemoteStore(address, tmp_path / "here"), RemoteStore(address, tmp_path / "there")
    write(here)
    system, found = files_at(address)
    path = found[f"pools/{KEY}.zip"]
    content = system.cat_file(path)
    system.pipe_file(path, damaged(content, damage, tmp_path))

    with caplog.at_level(logging.WARNING, "lesionbench"):
        assert there.read(POOLS, KEY) is None
    assert f"{address}/pools/{KEY}.zip is damaged" in caplog.text
    write(there)
    assert len(list(tmp_path.glob("there/*/damaged/*.zip"))) == 1
    assert RemoteStore(address, tmp_path / "elsewhere").read(POOLS, KEY) is not None


def damaged(content, damage, tmp_path):
    if damage == "shorten":
        return content[:-10]
    if damage == "flip a bit":
        place = content.index(b"weights.txt") + 33  # behind its name, in what is kept of it
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    if damage == "not a zip":
        return b"<html>"
    with zipfile.ZipFile(tmp_path / "z", "w") as changed:
        changed.writestr("manifest.json", '{"images.npy": "0"}')
        changed.writestr("images.npy", b"x")
    return (tmp_path / "z").read_bytes()


def test_an_object_under_the_key_of_another_is_not_taken_for_it(address, tmp_path):
    inputs = {"of": "this"}
    with RemoteStore(address, tmp_path / "here").write(POOLS, key_of(inputs), inputs) as draft:
        draft.put_text("a.txt", "1")
    system, found = files_at(address)
    path = found[f"pools/{key_of(inputs)}.zip"]
    system.pipe_file(path.replace(key_of(inputs), OTHER), system.cat_file(path))

    there = RemoteStore(address, tmp_path / "there")
    assert there.read(POOLS, key_of(inputs)) is not None
    assert there.read(POOLS, OTHER) is None


def test_a_damaged_entry_of_the_cache_is_fetched_again(address, tmp_path):
    store = RemoteStore(address, tmp_path)
    write(store)
    (store.folder / POOLS / KEY / "images.npy").write_bytes(b"x")

    assert np.array_equal(store.read(POOLS, KEY).array("images"), np.full((2, 3), 7, np.uint8))


def test_the_first_of_two_writers_stays(address, tmp_path):
    write(RemoteStore(address, tmp_path / "here"), value=1)
    write(RemoteStore(address, tmp_path / "there"), value=2)

    read = RemoteStore(address, tmp_path / "elsewhere").read(POOLS, KEY).array("images")
    assert np.array_equal(read, np.full((2, 3), 1, np.uint8))


def test_eight_machines_that_write_one_entry_leave_one(address, tmp_path):
    threads = [
        threading.Thread(target=write, args=(RemoteStore(address, tmp_path / str(number)),)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(files_at(address)[1]) == {"lesionbench-store.json", f"pools/{KEY}.zip"}
    assert RemoteStore(address, tmp_path / "elsewhere").read(POOLS, KEY) is not None


def test_a_place_that_holds_something_else_is_refused(address, tmp_path):
    system, root = fsspec.core.url_to_fs(address)
    system.pipe_file(f"{root}/thesis.tex", b"x")

    with pytest.raises(OutputError, match=r"holds 'thesis\.tex'; choose another store"):
        RemoteStore(address, tmp_path).check()
    assert set(files_at(address)[1]) == {"thesis.tex"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is damaged"), ('{"name": "lesionbench store", "format": 2}', "format 2")]
)
def test_a_store_of_another_format_is_refused(address, tmp_path, text, message):
    system, root = fsspec.core.url_to_fs(address)
    system.pipe_file(f"{root}/lesionbench-store.json", text.encode())

    with pytest.raises(OutputError, match=message):
        RemoteStore(address, tmp_path).check()


def test_a_new_place_and_a_store_are_accepted_and_looking_writes_nothing(address, tmp_path):
    store = RemoteStore(address, tmp_path)
    store.check()
    assert not store.has(POOLS, KEY)
    assert store.read(POOLS, KEY) is None
    assert files_at(address)[1] == {}

    write(store)
    store.check()


def test_what_could_not_be_sent_is_sent_later(address, tmp_path, monkeypatch, caplog):
    store = RemoteStore(address, tmp_path / "here")
    with monkeypatch.context() as away:
        away.setattr(store.files._system, "put_file", lost_connection)
        with caplog.at_level(logging.WARNING, "lesionbench"):
            write(store)
        with pytest.raises(StoreError, match=r"does not answer \(the line is cut\)"):
            store.settle()
    assert "is kept in" in caplog.text
    assert store.read(POOLS, KEY) is not None
    assert files_at(address)[1] == {}

    RemoteStore(address, tmp_path / "here").settle()

    assert RemoteStore(address, tmp_path / "there").read(POOLS, KEY) is not None


def lost_connection(*arguments, **settings):
    raise ConnectionError("the line is cut")


def test_a_request_that_fails_twice_is_made_a_third_time(address, tmp_path, monkeypatch):
    store = RemoteStore(address, tmp_path)
    answers = iter([lost_connection, lost_connection])
    put = store.files._system.put_file
    monkeypatch.setattr(store.files._system, "put_file", lambda *a, **s: next(answers, put)(*a, **s))

    write(store)

    assert f"pools/{KEY}.zip" in files_at(address)[1]


def test_a_server_without_conditional_writes_will_do(address, tmp_path, monkeypatch):
    store = RemoteStore(address, tmp_path)
    put = store.files._system.put_file

    def old_server(local, path, mode="overwrite"):
        if mode == "create":
            cause = Exception()
            cause.response = {"Error": {"Code": "NotImplemented"}}  # as botocore keeps it
            raise OSError("A header you provided implies functionality that is not implemented") from cause
        put(local, path)

    monkeypatch.setattr(store.files._system, "put_file", old_server)
    write(store)

    assert f"pools/{KEY}.zip" in files_at(address)[1]


def test_a_bucket_that_does_not_exist_is_named(s3_server, tmp_path, monkeypatch):
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    store = RemoteStore("s3://no-such-bucket/path", tmp_path)

    with pytest.raises(OutputError, match="there is no bucket for the store s3://no-such-bucket/path"):
        store.check()


def test_a_store_that_denies_access_is_asked_once(tmp_path, monkeypatch):
    store = RemoteStore("memory://denied", tmp_path)
    asked = []

    def deny(*arguments, **settings):
        asked.append(1)
        raise PermissionError("Access Denied")

    monkeypatch.setattr(store.files._system, "ls", deny)
    with pytest.raises(OutputError, match=r"denies access \(Access Denied\)"):
        store.check()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    {
        "gopher://hole": "'gopher' is no protocol that fsspec knows",
        "gs://bucket": r"needs a library; type: pip install gcsfs",
        "sftp://user:secret@host/path": "must not contain a password",
        "s3://[bucket": "is no address",
    }.items(),
)
def test_an_address_that_cannot_be_opened_is_refused_by_name(address, message, tmp_path):
    with pytest.raises(SettingsError, match=message) as refused:
        RemoteStore(address, tmp_path)
    assert "secret" not in str(refused.value)


def test_a_process_has_one_object_for_one_address(tmp_path, monkeypatch):
    monkeypatch.setenv("LESIONBENCH_CACHE", str(tmp_path))

    assert open_store("memory://one") is open_store("memory://one")
    assert open_store("memory://one").folder.is_relative_to(tmp_path)
    assert open_store("memory://one").folder != open_store("memory://two").folder
