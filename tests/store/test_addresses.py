from pathlib import Path

from lesionbench.store.addresses import local_folder, open_store, whole_address


def test_a_folder_and_its_url_are_one_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in (tmp_path / "s", str(tmp_path / "s"), "s", f"file://{tmp_path}/s", f"local://{tmp_path}/s"):
        assert open_store(address).folder.absolute() == tmp_path / "s"
        assert whole_address(address) == str(tmp_path / "s")


def test_the_address_of_another_machine_is_no_folder_here():
    assert local_folder("s3://bucket/path") is None
    assert local_folder("path") == Path("path")
    assert whole_address("s3://bucket/path") == "s3://bucket/path"
