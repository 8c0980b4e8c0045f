import shutil

import numpy as np

from lesionbench.store.packed import pack, unpack
from lesionbench.store.whole_folders import is_whole, seal


def test_no_single_damaged_byte_of_a_packed_entry_goes_unnoticed(tmp_path):
    entry, packed, changed = tmp_path / "entry", tmp_path / "packed", tmp_path / "changed"
    (entry / "inner").mkdir(parents=True)
    np.save(entry / "images.npy", np.arange(40, dtype=np.uint8))
    (entry / "inner" / "loss.txt").write_bytes(b"0.5\r\n")
    seal(entry)
    pack(entry, packed)
    whole = packed.read_bytes()
    accepted = 0
    for place in range(0, len(whole), 3):
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        if unpack(packed, changed) and is_whole(changed):  # the byte says nothing about the content
            accepted += 1
            assert (changed / "images.npy").read_bytes() == (entry / "images.npy").read_bytes()
            assert (changed / "inner" / "loss.txt").read_bytes() == b"0.5\r\n"
        shutil.rmtree(changed, ignore_errors=True)

    assert accepted < len(whole) / 6


def test_one_entry_is_packed_into_the_same_bytes_every_time(tmp_path):
    for number in (1, 2):
        (tmp_path / f"entry{number}").mkdir()
        (tmp_path / f"entry{number}" / "a.txt").write_bytes(b"1")
        (tmp_path / f"entry{number}" / "b.txt").write_bytes(b"22")
        pack(tmp_path / f"entry{number}", tmp_path / f"packed{number}")

    assert (tmp_path / "packed1").read_bytes() == (tmp_path / "packed2").read_bytes()
