"""Feature extractors: networks from files, and what is said of files that hold none."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench.audit.extractors import file_extractor, predictor_extractor
from lesionbench.errors import SettingsError


def exported(network, path, size=16):
    at_least_one = torch.export.Dim("n")
    program = torch.export.export(network.eval(), (torch.zeros(2, 3, size, size),), dynamic_shapes=({0: at_least_one},))
    torch.export.save(program, path)
    return path


def scripted(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(2, 3, 16, 16)), path)
    return path


def images(channels=3):
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, channels), dtype=np.uint8)


@pytest.mark.parametrize(("save", "name"), [(exported, "net.pt2"), (scripted, "net.pt")])
def test_a_network_in_a_file_sees_the_images_in_0_to_1(save, name, tmp_path):
    extractor = file_extractor(save(nn.AdaptiveAvgPool2d(1), tmp_path / name))

    features = extractor.features(images())

    assert extractor.name == name
    assert features.dtype == np.float64
    assert features == pytest.approx(images().mean(axis=(1, 2)) / 255, abs=1e-6)


def test_a_feature_map_is_averaged_over_its_places(tmp_path):
    features = file_extractor(exported(nn.Identity(), tmp_path / "net.pt2")).features(images())

    assert features == pytest.approx(images().mean(axis=(1, 2)) / 255, abs=1e-6)


def test_a_grey_image_is_given_three_times(tmp_path):
    grey = file_extractor(exported(nn.Flatten(), tmp_path / "net.pt2")).features(images(1))

    assert grey.shape == (5, 3 * 256)
    assert grey[:, :256] == pytest.approx(grey[:, 512:])


def test_chunks_change_nothing(tmp_path, monkeypatch):
    extractor = file_extractor(exported(nn.Flatten(), tmp_path / "net.pt2"))
    whole = extractor.features(images())
    monkeypatch.setattr("lesionbench.audit.extractors.CHUNK", 2 * 16 * 16 * 3)

    assert whole.tolist() == extractor.features(images()).tolist()


def test_dropout_is_off(tmp_path):
    extractor = file_extractor(scripted(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)), tmp_path / "net.pt"))

    assert extractor.features(images()).tolist() == extractor.features(images()).tolist()


def weights(path):
    torch.save(nn.Linear(2, 2).state_dict(), path)


def text(path):
    path.write_text("hello")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "there is no file .*net.pt with a network"),
        (text, r"saved with torch.export.save \(.pt2\) or torch.jit.save, but .*net.pt is not: it is neither"),
        (weights, "it holds weights without their network"),
        (lambda path: path.mkdir(), "it is neither"),
    ],
)
def test_a_file_without_a_network_is_refused(write, message, tmp_path):
    write(tmp_path / "net.pt")

    with pytest.raises(SettingsError, match=message):
        file_extractor(tmp_path / "net.pt")


class Bad(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.kind == "scalars":
            return images.mean((1, 2, 3))
        return images.flatten(1) / 0 if self.kind == "infinite" else images[:, :, :4, :4].flatten(0, 1).flatten(1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("scalars", r"must return one row for each image, here \(5, D, ...\), not \(5,\)"),
        ("rows", r"must return one row for each image, here \(5, D, ...\), not \(15, 16\)"),
        ("infinite", "returns features that are not finite"),
    ],
)
def test_an_output_that_is_no_features_is_refused(kind, message, tmp_path):
    extractor = file_extractor(exported(Bad(kind), tmp_path / "net.pt2"))

    with pytest.raises(SettingsError, match=message):
        extractor.features(images())


def test_a_network_that_refuses_the_images_is_reported(tmp_path):
    extractor = file_extractor(exported(nn.Flatten(), tmp_path / "net.pt2", size=8))

    with pytest.raises(SettingsError, match=r"is given float32 \(5, 3, 16, 16\) in 0..1, but fails"):
        extractor.features(images())


def test_a_predictor_without_features_says_so():
    class Plain:
        def predict(self, images):
            return images

    assert predictor_extractor("mine", Plain()) == "mine has no features; name a network with --features FILE"
    assert "mine is not kept in the store" in predictor_extractor("mine", None)
