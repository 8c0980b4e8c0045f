"""`lesionbench audit fidelity` on a real, small run."""

import csv

import pytest
import torch
from conftest import CommandLineHere
from torch import nn

from lesionbench.audit.fidelity import audit_fidelity
from lesionbench.errors import OutputError, SettingsError
from lesionbench.evidence.images.fidelity import FIDELITY_COLUMNS
from lesionbench.plugins import Plugins
from lesionbench.report.fidelity import print_fidelity

RUN = ("run", "--dataset", "skin-phantom[size=32,train=240,test=20]", "--validation", 0.5, "--classifier", "linear")
RUN = (*RUN, "--augmenter", "oversample", "--augmenter", "noise", "--synthetic", 60, "--seeds", 1, "--jobs", 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fidelity")
    CommandLineHere(folder)(*RUN, "--out", "made")
    return folder / "made"


@pytest.fixture(autouse=True)
def few_directions(monkeypatch):
    """Fewer than a user's, for speed."""
    for name, value in {"PATCHES": 16, "DIRECTIONS": 32, "REPEATS": 1}.items():
        monkeypatch.setattr(f"lesionbench.evidence.images.sliced_wasserstein.{name}", value)


def read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_pool_and_class_is_set_beside_the_floor(run, capsys):
    audit = audit_fidelity(run, Plugins.load(), out=run)
    audit.write(run)
    print_fidelity(audit)

    rows = read(run / "fidelity.csv")
    said = capsys.readouterr().out
    assert list(FIDELITY_COLUMNS) == list(rows[0])
    assert ["benign", "malignant", "all"] * 2 == [row["class"] for row in rows]
    assert ["noise"] * 3 + ["oversample"] * 3 == [row["augmenter"] for row in sorted(rows, key=lambda row: row["pool"])]
    assert {"linear"} == {row["extractor"] for row in rows}
    by = {(row["augmenter"], row["class"]): row for row in rows}
    assert float(by["noise", "all"]["kid"]) > 3 * float(by["oversample", "all"]["kid"])
    assert float(by["noise", "all"]["swd"]) > 2 * float(by["oversample", "all"]["swd"])
    assert by["noise", "all"]["swd_floor"] == by["oversample", "all"]["swd_floor"]
    assert "features of linear" in said
    assert list(audit.pools.columns) == list(FIDELITY_COLUMNS)
    assert audit.pools["kid"].dtype == "Float64"


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(run, tmp_path):
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        audit_fidelity(run, Plugins.load(), seed=seed).write(tmp_path / name)

    one, again, other = ((tmp_path / name / "fidelity.csv").read_bytes() for name in ("one", "again", "other"))
    assert one == again
    assert one != other


def test_a_network_in_a_file_gives_the_features(run, tmp_path):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    images = torch.zeros(2, 3, 32, 32)
    exported = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(exported, tmp_path / "net.pt2")

    audit_fidelity(run, Plugins.load(), features=tmp_path / "net.pt2").write(tmp_path)

    rows = read(tmp_path / "fidelity.csv")
    assert {("net.pt2", "12")} == {(row["extractor"], row["features"]) for row in rows}
    assert all(row["fid"] for row in rows)


def test_a_baseline_that_was_not_kept_leaves_what_needs_no_features(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lesionbench.experiment.bench.Bench.predictor", lambda bench, cell: None)

    audit = audit_fidelity(run, Plugins.load())
    audit.write(tmp_path)
    print_fidelity(audit)

    rows = read(tmp_path / "fidelity.csv")
    assert {""} == {row["kid"] for row in rows}
    assert all(row["swd"] and row["ms_ssim"] for row in rows)
    assert "linear is not kept in the store; name a network with --features FILE" in capsys.readouterr().out


def test_bad_input_writes_nothing(run, tmp_path):
    with pytest.raises(SettingsError, match=r"there is no file .*none\.pt2"):
        audit_fidelity(run, Plugins.load(), features=tmp_path / "none.pt2", out=tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the output must be a folder"):
        audit_fidelity(run, Plugins.load(), out=tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_into_the_run_and_refuses_a_missing_network_in_one_line(run):
    command = CommandLineHere(run.parent)
    done = command("audit", "fidelity", "made", "--seed", 5)
    refused = command("audit", "fidelity", "made", "--features", "none.pt2", status=2)

    assert done.stdout.endswith("made/fidelity.csv\n")
    assert refused.stderr == (
        "lesionbench: there is no file none.pt2 with a network; name an existing one with --features\n"
    )
