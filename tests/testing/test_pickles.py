from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from lesionbench.testing.pickles import pickles_in


def torch_file(path):
    import torch

    torch.save({"weights": torch.zeros(2)}, path)


def objects_file(path):
    with path.open("wb") as file:
        np.savez(file, names=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: path.write_bytes(pickle.dumps([1])), id="pickle"),
        pytest.param(torch_file, id="torch.save"),
        pytest.param(objects_file, id="npz-of-objects"),
    ],
)
def test_a_pickle_is_found_whatever_it_is_called(write, tmp_path):
    write(tmp_path / "weights.bin")
    assert ["weights.bin"] == pickles_in(tmp_path)


def test_plain_files_are_no_pickles(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weights": np.zeros(2)}, tmp_path / "weights.safetensors")
    np.savez(tmp_path / "real.npz", images=np.zeros((2, 4, 4, 1), np.uint8), ids=np.array(["a", "b"]))
    (tmp_path / "settings.json").write_text(json.dumps({"size": 32}))
    assert [] == pickles_in(tmp_path)


def test_a_safetensors_header_that_begins_like_a_pickle_is_no_pickle(tmp_path):
    header = json.dumps({"__metadata__": {"note": "x" * 1000}})[:-1].ljust(0x0480 - 1) + "}"
    (tmp_path / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())
    assert b"\x80\x04" == (tmp_path / "weights.safetensors").read_bytes()[:2]
    assert [] == pickles_in(tmp_path)


def test_a_file_named_like_a_pickle_is_found(tmp_path):
    (tmp_path / "weights.pth").write_text("")
    assert ["weights.pth"] == pickles_in(tmp_path)
