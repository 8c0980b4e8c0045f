import json
import os
import time

import pytest

from lesionbench.errors import OutputError
from lesionbench.store.addresses import open_store
from lesionbench.store.digests import key_of
from lesionbench.store.store import Store

KEY = key_of("anything")
MARK = "lesionbench-store.json"


def write(store, key=KEY):
    with store.write("fits", key) as draft:
        draft.put_text("file.txt", "content")


def files(folder):
    """Every file below a folder and its content."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_names_itself_and_its_format(tmp_path):
    write(Store(tmp_path / "new" / "store"))

    assert json.loads((tmp_path / "new" / "store" / MARK).read_text()) == {"name": "lesionbench store", "format": 1}


@pytest.mark.parametrize("act", ["open", "write", "claim", "note_use"])
def test_a_folder_that_holds_anything_else_is_refused_and_left_as_it_is(tmp_path, act):
    home = tmp_path / "home"
    notes = home / "project" / ".my-notes"
    notes.mkdir(parents=True)
    (notes / "note.txt").write_text("mine")
    three_days_ago = time.time() - 3 * 86_400
    os.utime(notes, (three_days_ago, three_days_ago))
    before = files(home)
    store = Store(home)

    def do():
        if act == "open":
            open_store(home)
        elif act == "write":
            write(store)
        elif act == "claim":
            with store.claim("fits", KEY):
                pass
        else:
            store.note_use(tmp_path / "run", [("fits", KEY)])

    with pytest.raises(OutputError, match=r"a store must be a new or empty folder, or .*home holds 'project'"):
        do()

    assert files(home) == before
    assert [path.name for path in home.iterdir()] == ["project"]


def test_what_the_user_puts_into_a_store_is_left_there(tmp_path):
    store = Store(tmp_path)
    write(store)
    old = (0, 0)
    mine = [
        tmp_path / "project" / ".my-notes",
        tmp_path / "drafts" / "mine",
        tmp_path / "fits" / ".0123456789abcdef-abcdefgh",
    ]
    for folder in mine:
        folder.mkdir(parents=True)
        (folder / "note.txt").write_text("mine")
        os.utime(folder, old)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "notes.json").write_text("{}")

    store.sweep()

    assert all((folder / "note.txt").read_text() == "mine" for folder in mine)
    assert (tmp_path / "claims" / "notes.json").exists()


def test_a_sweep_touches_nothing_in_a_folder_without_a_mark(tmp_path):
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / f"a-1-1-{'a' * 16}.json").write_text("mine")

    Store(tmp_path).sweep()

    assert (tmp_path / "drafts" / f"a-1-1-{'a' * 16}.json").read_text() == "mine"


def test_a_store_from_before_stores_were_marked_is_accepted_and_marked(tmp_path):
    write(Store(tmp_path))
    (tmp_path / MARK).unlink()
    (tmp_path / "fits" / ".0123456789abcdef-abcdefgh").mkdir()  # a draft as it was written then
    (tmp_path / "damaged" / "fits-0123456789abcdef-abcdefgh").mkdir(parents=True)

    store = open_store(tmp_path)

    assert store.read("fits", KEY) is not None
    assert not (tmp_path / MARK).exists()
    write(store, key_of("other"))
    assert (tmp_path / MARK).exists()


@pytest.mark.parametrize("inside", ["fits/image.fits", "pools/summer/photo.jpg", f"fits/{KEY}/other.txt"])
def test_folders_that_only_have_the_names_of_a_store_are_refused(tmp_path, inside):
    (tmp_path / inside).parent.mkdir(parents=True)
    (tmp_path / inside).write_text("mine")

    with pytest.raises(OutputError, match="hold nothing but a store"):
        open_store(tmp_path)


def test_a_new_disk_with_the_files_of_the_system_can_become_a_store(tmp_path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".DS_Store").touch()

    write(open_store(tmp_path))

    assert (tmp_path / MARK).exists()


def test_a_store_of_a_later_format_is_refused(tmp_path):
    (tmp_path / MARK).write_text('{"name": "lesionbench store", "format": 2}')

    with pytest.raises(
        OutputError, match=r"has format 2, and this version of lesionbench knows formats up to 1; install"
    ):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "other", "format": 1}', '{"name": "lesionbench store"}', "[" * 9999]
)
def test_a_damaged_mark_is_named_with_what_it_should_read(tmp_path, text):
    write(Store(tmp_path))
    (tmp_path / MARK).write_text(text)

    with pytest.raises(OutputError, match=r'lesionbench-store.json is damaged: it should read {"name"'):
        open_store(tmp_path)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=r"a store is a folder, but .*file is a file"):
        open_store(tmp_path / "file")
