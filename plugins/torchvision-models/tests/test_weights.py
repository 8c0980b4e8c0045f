from __future__ import annotations

import pickle
import re
import zipfile

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from lesionbench import SettingsError
from lesionbench.experiment.provenance import provenance
from lesionbench.testing import a_context, tiny_training_set
from lesionbench.torchkit.training import torch_session
from lesionbench_torchvision_models import Densenet121, Resnet18, Vgg16
from lesionbench_torchvision_models.fit import starting_network
from lesionbench_torchvision_models.networks import make_network


def tensors(classifier, outputs=1000):
    with torch_session(7):
        return make_network(classifier, outputs).state_dict()


@pytest.fixture(scope="module")
def resnet_tensors():
    return tensors(Resnet18())


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory, resnet_tensors):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet_tensors, path)
    return path


def same(wanted, network, without):
    found = network.network.state_dict()
    return all(torch.equal(wanted[name], found[name]) for name in found if not name.startswith(without))


def test_all_but_the_head_is_loaded_when_the_classes_are_others(resnet_tensors, resnet_file):
    network = starting_network(Resnet18(weights=resnet_file), outputs=2)
    assert same(resnet_tensors, network, without="fc.")
    assert (2, 512) == tuple(network.network.fc.weight.shape)


def test_the_head_is_loaded_too_when_its_shape_is_the_same(resnet_tensors, resnet_file):
    assert same(resnet_tensors, starting_network(Resnet18(weights=resnet_file), outputs=1000), without="none")


def test_a_file_without_a_head_and_without_batch_counters_is_enough(tmp_path, resnet_tensors):
    kept = {n: t for n, t in resnet_tensors.items() if not n.startswith("fc.") and "num_batches" not in n}
    torch.save(kept, tmp_path / "features.pth")
    network = starting_network(Resnet18(weights=tmp_path / "features.pth"), outputs=1)
    assert torch.equal(kept["layer4.1.bn2.weight"], network.network.layer4[1].bn2.weight)


def test_safetensors_are_read(tmp_path, resnet_tensors):
    save_file(resnet_tensors, tmp_path / "w.safetensors")
    network = starting_network(Resnet18(weights=tmp_path / "w.safetensors"), outputs=1)
    assert same(resnet_tensors, network, without="fc.")


def test_a_file_in_torchs_old_format_is_read(tmp_path, resnet_tensors):
    torch.save(resnet_tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(resnet_tensors, starting_network(Resnet18(weights=tmp_path / "old.pth"), 1), without="fc.")


def test_the_old_names_in_densenets_published_file_are_known(tmp_path):
    wanted = tensors(Densenet121())
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): one for name, one in wanted.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    network = starting_network(Densenet121(weights=tmp_path / "densenet.pth"), outputs=1)
    assert same(wanted, network, without="classifier.")


def test_vgg16s_small_head_takes_the_convolutions_of_a_file_with_the_standard_head(tmp_path):
    wanted = tensors(Vgg16(), outputs=1) | {
        "classifier.0.weight": torch.zeros(4096, 1),
        "classifier.6.bias": torch.zeros(1000),
    }
    torch.save(wanted, tmp_path / "vgg.pth")
    assert same(wanted, starting_network(Vgg16(weights=tmp_path / "vgg.pth"), outputs=3), without="classifier.")


def test_weights_go_with_the_standard_stem_at_every_size(resnet_file):
    assert not Resnet18(weights=resnet_file, size=32).has_small_stem
    with pytest.raises(ValidationError, match="stem=standard or stem=auto"):
        Resnet18(weights=resnet_file, stem="small")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fit_starts_from_the_weights(tmp_path, resnet_tensors, resnet_file, channels):
    classifier = Resnet18(weights=resnet_file, size=32, steps=1, batch_size=2, learning_rate=1e-12)
    predictor = classifier.fit(tiny_training_set(2, channels), a_context(tmp_path))
    assert torch.allclose(resnet_tensors["layer1.0.conv1.weight"], predictor.network.network.layer1[0].conv1.weight)
    assert (3, 2) == predictor.predict(tiny_training_set(2, channels).real.images[:3]).shape


def test_the_path_is_taken_from_the_working_directory(monkeypatch, resnet_file):
    monkeypatch.chdir(resnet_file.parent)
    assert 1 == len(Resnet18(weights="resnet18.pth").input_files())


def test_results_depend_on_the_content_of_the_file(tmp_path, resnet_tensors):
    digests = []
    for change in (0.0, 1.0):
        torch.save(
            resnet_tensors | {"conv1.weight": resnet_tensors["conv1.weight"] + change}, tmp_path / f"{change}.pth"
        )
        digests.append(provenance(Resnet18(weights=tmp_path / f"{change}.pth"), "lesionbench")["files"])
    assert digests[0] != digests[1]
    assert [] == provenance(Resnet18(), "lesionbench")["files"]


class Code:
    def __reduce__(self):
        return (print, ("this code must not run",))


def write(path, kind, resnet_tensors):
    """A file of one wrong kind."""
    if kind == "text":
        path.write_text("these are no weights\n" * 20)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"conv1.weight": Code()}))
    elif kind == "model":
        torch.save({"fc.weight": torch.nn.Linear(1, 1)}, path)
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "state_dict": {"conv1.weight": torch.zeros(1)}}, path)
    elif kind == "list":
        torch.save([torch.zeros(1)], path)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", "hello")
    elif kind == "cut":
        torch.save({"conv1.weight": torch.zeros(100)}, path)
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "other network":
        torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    elif kind == "other shape":
        torch.save(resnet_tensors | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, path)
    elif kind == "one too many":
        torch.save(resnet_tensors | {"layer5.weight": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot be read (No such file or directory); give weights=FILE with the path of a local file"),
        ("folder", "cannot be read (Is a directory); give weights=FILE"),
        ("text", "is neither a whole file of torch.save nor .safetensors; give weights=FILE"),
        ("empty", "is neither a whole file of torch.save nor .safetensors; give weights=FILE"),
        ("pickle", "holds Python objects, which are not loaded because they can run code; save the tensors alone"),
        ("model", "holds Python objects, which are not loaded because they can run code; save the tensors alone"),
        (
            "checkpoint",
            "must hold tensors by name and nothing else, but holds epoch, state_dict; save the tensors alone",
        ),
        ("list", "must hold tensors by name and nothing else, but holds no dictionary; save the tensors alone"),
        ("zip", "cannot be loaded, it may be damaged (RuntimeError); copy it again, or save the tensors alone"),
        ("cut", "is neither a whole file of torch.save nor .safetensors; give weights=FILE"),
        (
            "other network",
            "do not fit resnet18: 100 tensors are missing, such as conv1.weight; 1 are not the network's",
        ),
        ("other shape", "1 have another shape, such as conv1.weight: 64x1x7x7, not 64x3x7x7; give weights=FILE"),
        ("one too many", "do not fit resnet18: 1 are not the network's, such as layer5.weight; give weights=FILE"),
    ],
)
def test_a_wrong_file_is_one_clear_message_before_anything_runs(tmp_path, resnet_tensors, capsys, kind, message):
    path = tmp_path / "w.pth"
    write(path, kind, resnet_tensors)
    with pytest.raises(SettingsError) as error:
        Resnet18(weights=path).input_files()
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "" == capsys.readouterr().out


def test_text_named_safetensors_is_one_clear_message(tmp_path):
    (tmp_path / "w.safetensors").write_text("these are no weights")
    with pytest.raises(SettingsError, match="no safetensors file"):
        Resnet18(weights=tmp_path / "w.safetensors").input_files()


def test_a_file_that_changes_is_checked_again(tmp_path, resnet_tensors):
    path = tmp_path / "w.pth"
    torch.save(resnet_tensors, path)
    assert [path] == Resnet18(weights=path).input_files()
    path.write_text("no weights any more")
    with pytest.raises(SettingsError):
        Resnet18(weights=path).input_files()
