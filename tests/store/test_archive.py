"""Entries travel in a file that nobody needs to trust."""

import os
import random
import stat
import zipfile

import numpy as np
import pytest

from lesionbench.errors import OutputError
from lesionbench.store import archive as archives
from lesionbench.store.archive import export_entries, import_archive
from lesionbench.store.digests import key_of
from lesionbench.store.store import Store
from lesionbench.store.verifying import verify

KEYS = [key_of({"number": number}) for number in range(3)]
MARK = "lesionbench-store.json"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    for number, key in enumerate(KEYS):
        with store.write("pools", key, {"number": number}) as draft:
            draft.put_array("class0", np.full((3, 4, 4, 1), number, np.uint8))
            (draft.folder("sampler") / "weights.bin").write_bytes(bytes(number))
            draft.folder("empty")
    return store


@pytest.fixture
def archive(store, tmp_path):
    export_entries(store, tmp_path / "a.zip")
    return tmp_path / "a.zip"


@pytest.fixture
def other(tmp_path):
    return Store(tmp_path / "other")


def changed(archive, change):
    """Write the members of an archive again; `change` gets a list of names with contents."""
    with zipfile.ZipFile(archive) as zipped:
        members = [(member.filename, zipped.read(member)) for member in zipped.infolist()]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in change(members):
            zipped.writestr(name, content)


def nothing_written(store):
    return not store.folder.exists()


def test_entries_are_the_same_on_the_other_side(store, archive, other):
    imported = import_archive(other, archive)

    assert (imported.new, imported.there, imported.damaged) == (3, 0, ())
    for key in KEYS:
        mine, theirs = store.folder / "pools" / key, other.folder / "pools" / key
        names = sorted(path.relative_to(mine) for path in mine.rglob("*"))
        assert sorted(path.relative_to(theirs) for path in theirs.rglob("*")) == names
        assert other.read("pools", key) is not None
    assert verify(other).flaws == ()


def test_an_archive_is_the_same_byte_for_byte(store, archive, tmp_path):
    export_entries(store, tmp_path / "b.zip")

    assert (tmp_path / "b.zip").read_bytes() == archive.read_bytes()


def test_only_the_entries_that_were_asked_for_are_exported(store, other, tmp_path):
    exported = export_entries(store, tmp_path / "b.zip", {("pools", KEYS[0]), ("fits", KEYS[0])})

    assert exported.count == 1
    assert import_archive(other, tmp_path / "b.zip").new == 1


def test_a_good_entry_is_never_replaced(archive, store):
    place = store.folder / "pools" / KEYS[0]
    before = place.stat().st_ino

    assert import_archive(store, archive).there == 3
    assert place.stat().st_ino == before


def test_a_damaged_entry_is_replaced_by_the_one_of_the_archive(archive, store):
    (store.folder / "pools" / KEYS[0] / "class0.npy").write_bytes(b"x")

    assert import_archive(store, archive).new == 1
    assert verify(store).flaws == ()


def test_a_damaged_entry_is_not_exported(store, tmp_path):
    (store.folder / "pools" / KEYS[0] / "class0.npy").write_bytes(b"x")

    exported = export_entries(store, tmp_path / "b.zip")

    assert exported.count == 2
    assert [flaw.item.name for flaw in exported.flaws] == [("pools", KEYS[0])]


@pytest.mark.parametrize("name", ["caf\udce9", "a:b", "a\\b"])
def test_an_entry_with_a_name_that_is_not_the_same_everywhere_is_named_and_not_exported(store, tmp_path, name):
    with store.write("fits", KEYS[0]) as draft:
        (draft.folder("sampler") / name).write_bytes(b"x")
    assert store.read("fits", KEYS[0]) is not None

    (flaw,) = export_entries(store, tmp_path / "b.zip").flaws

    assert "cannot be taken to every system" in flaw.what


def test_an_entry_under_a_key_of_something_else_is_damaged(store):
    (store.folder / "pools" / KEYS[0]).rename(store.folder / "pools" / key_of("other"))

    assert [flaw.what for flaw in verify(store).flaws] == ["its key was made from something else"]


def test_an_archive_that_is_there_is_not_overwritten(store, archive):
    before = archive.read_bytes()

    with pytest.raises(OutputError, match="must be a new file"):
        export_entries(store, archive)

    assert archive.read_bytes() == before


def test_a_full_disk_leaves_no_archive(store, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", fail)
    with pytest.raises(OSError, match="No space left"):
        export_entries(store, tmp_path / "b.zip")

    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        f"pools/{KEYS[0]}/../../../evil.txt",
        f"pools/{KEYS[0]}/a\\..\\evil.txt",
        f"pools/{KEYS[0]}/C:evil.txt",
        f"pools/{KEYS[0]}//evil.txt",
        f"pools/{KEYS[0]}/./evil.txt",
        f"pools/{KEYS[0]}",
        "pools/short/evil.txt",
        f"drafts/{KEYS[0]}/evil.txt",
        "/etc/evil.txt",
        MARK.upper(),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(archive, other, tmp_path, name):
    changed(archive, lambda members: [*members, (name, b"evil")])

    with pytest.raises(OutputError, match="is not an archive that"):
        import_archive(other, archive)

    assert nothing_written(other)
    assert not list(tmp_path.rglob("evil*"))


def test_a_file_that_is_also_a_folder_is_refused_before_anything_is_written(archive, other):
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr(f"{zipped.namelist()[-1]}/below", b"1")

    with pytest.raises(OutputError, match="one of its files is also a folder"):
        import_archive(other, archive)

    assert nothing_written(other)


def test_a_named_pipe_is_refused_and_not_waited_for(other, tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")

    with pytest.raises(OutputError, match="it is no file"):
        import_archive(other, tmp_path / "pipe.zip")


def test_a_link_is_refused(archive, other):
    link = zipfile.ZipInfo(f"pools/{KEYS[0]}/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    changed(archive, lambda members: [*members, (link, b"/etc/passwd")])

    with pytest.raises(OutputError, match="is not an archive that"):
        import_archive(other, archive)

    assert nothing_written(other)


def test_an_archive_that_unpacks_to_too_much_is_refused(archive, other):
    changed(archive, lambda members: [*members, (f"pools/{KEYS[0]}/zeros", bytes(100_000_000))])

    with pytest.raises(OutputError, match="would unpack to 1000"):
        import_archive(other, archive)

    assert nothing_written(other)


def test_an_archive_that_the_disk_has_no_room_for_is_refused(archive, other, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))

    with pytest.raises(OutputError, match="has 10 bytes left"):
        import_archive(other, archive)

    assert nothing_written(other)


def test_files_that_share_their_bytes_are_refused(archive, other, monkeypatch):
    real = zipfile.ZipFile.infolist

    def overlapping(zipped):
        members = real(zipped)
        members[2].header_offset = members[1].header_offset
        return members

    monkeypatch.setattr(zipfile.ZipFile, "infolist", overlapping)
    with pytest.raises(OutputError, match="overlap"):
        import_archive(other, archive)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 100])
def test_what_is_no_archive_is_refused(other, tmp_path, content):
    (tmp_path / "b.zip").write_bytes(content)

    with pytest.raises(OutputError, match="is not an archive that"):
        import_archive(other, tmp_path / "b.zip")

    assert nothing_written(other)


def test_a_zip_of_something_else_is_refused(other, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        zipped.writestr("photo.jpg", b"x")

    with pytest.raises(OutputError, match=f"does not begin with {MARK}"):
        import_archive(other, tmp_path / "b.zip")


def test_an_archive_of_a_later_format_is_refused(archive, other):
    later = b'{"name": "lesionbench store", "format": 9}'
    changed(archive, lambda members: [(MARK, later), *members[1:]])

    with pytest.raises(OutputError, match="has format 9"):
        import_archive(other, archive)


def test_an_entry_that_was_changed_on_the_way_is_named_and_left_out(archive, other):
    changed(
        archive,
        lambda members: [
            (name, b"other" if name.endswith(f"{KEYS[0]}/class0.npy") else content) for name, content in members
        ],
    )

    imported = import_archive(other, archive)

    assert imported.new == 2
    assert imported.damaged == (f"pools/{KEYS[0]}",)
    assert other.read("pools", KEYS[0]) is None


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bits_give_good_entries_or_a_refusal(archive, other, seed):
    chance = random.Random(seed)
    content = bytearray(archive.read_bytes())
    for _ in range(3):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    archive.write_bytes(content)

    try:
        import_archive(other, archive)
    except OutputError:
        assert nothing_written(other)
    else:
        assert verify(other).flaws == ()
