from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lesionbench import LabelledImages, RunContext, TrainingSet
from lesionbench.testing import Reports, classifier_checks
from lesionbench.torchkit import classifying
from lesionbench_torchvision_models import Densenet121, Resnet18, Vgg16
from lesionbench_torchvision_models.fit import starting_network
from lesionbench_torchvision_models.networks import Prepare, make_network

NETWORKS = [Resnet18, Vgg16, Densenet121]


@pytest.fixture(autouse=True)
def few_images_a_forward_pass(monkeypatch):
    monkeypatch.setattr(classifying, "CHUNK", 4)  # the real one scores 64 at a time, mostly blanks in these tests


def cheap(plugin):
    """The classifier with defaults that take little time on 32 pixels."""

    class Cheap(plugin):
        size: int = 32
        batch_size: int = 2
        if plugin is not Vgg16:
            stem: str = "standard"

    return Cheap


CHEAP = {plugin: cheap(plugin) for plugin in NETWORKS}
CHECKS = classifier_checks()
OF_SETTINGS = [check for check in CHECKS if check.__module__.endswith("settings")]
OF_FITS = [check for check in CHECKS if check not in OF_SETTINGS]
FIT_ONCE = ("scores", "predict", "no_images", "an_image")  # checks that share one fit; others are of what all share


def network_checks():
    """All checks of resnet18; of the others, whose fits take seconds, those that fit often are slow tests."""
    for plugin in NETWORKS:
        for check in OF_FITS:
            name = check.__name__.removeprefix("check_")
            quick = plugin is Resnet18 or name.startswith(FIT_ONCE)
            yield pytest.param(
                check, CHEAP[plugin], id=f"{plugin.name}-{name}", marks=[] if quick else pytest.mark.slow
            )


@pytest.mark.parametrize("plugin", NETWORKS)
@pytest.mark.parametrize("check", OF_SETTINGS, ids=lambda check: check.__name__)
def test_the_settings_keep_the_contract(check, plugin):
    check(plugin)


@pytest.mark.parametrize(("check", "plugin"), list(network_checks()))
def test_the_networks_keep_the_contract(check, plugin):
    check(plugin)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def labelled(count, start=0, classes=2, size=32, channels=3):
    """Images whose class is the place of a bright stripe."""
    rng = np.random.default_rng(start)
    labels = np.arange(count, dtype=np.int64) % classes
    images = rng.integers(0, 60, (count, size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, label * size // classes : (label + 1) * size // classes] += 150
    positions = np.arange(start, start + count, dtype=np.int64)
    return LabelledImages(images, labels, positions, positions.astype(str), ("a", "b", "c")[:classes])


def fit(tmp_path, classifier, classes=2, channels=3, size=32):
    real, validation = (labelled(count, count, classes, size, channels) for count in (24, 12))
    train = TrainingSet(real, real.images[:0], real.labels[:0], validation)
    return classifier.fit(train, RunContext(1, "cpu", "fp32", tmp_path, Reports()))


def on_meta(classifier, outputs):
    with torch.device("meta"):
        return make_network(classifier, outputs)


@pytest.mark.parametrize(
    ("classifier", "outputs", "count"),
    [
        (Resnet18(), 1000, 11_689_512),  # as torchvision publishes it
        (Resnet18(), 2, 11_689_512 - 998 * 513),
        (Resnet18(stem="small"), 1000, 11_689_512 - 3 * 64 * (49 - 9)),
        (Densenet121(), 1000, 7_978_856),
        (Densenet121(stem="small"), 1000, 7_978_856 - 3 * 64 * (49 - 9)),
        (Vgg16(head="standard"), 1000, 138_357_544),
        (Vgg16(), 3, 14_714_688 + 512 * 512 + 512 + 512 * 3 + 3),
    ],
)
def test_the_number_of_parameters_is_the_published_one_but_for_stem_and_head(classifier, outputs, count):
    assert count == parameters(on_meta(classifier, outputs))


@pytest.mark.parametrize(("size", "small"), [(32, True), (63, True), (64, False), (224, False)])
def test_the_stem_is_small_below_64_pixels_unless_named(size, small):
    assert small is Resnet18(size=size).has_small_stem
    assert Densenet121(size=size, stem="small").has_small_stem
    assert not Densenet121(size=size, stem="standard").has_small_stem


@pytest.mark.parametrize(
    ("classifier", "side"),
    [(Resnet18(), 2), (Resnet18(stem="small"), 8), (Densenet121(), 2), (Densenet121(stem="small"), 8), (Vgg16(), 2)],
)
def test_64_pixels_leave_maps_of_this_side(classifier, side):
    network, sides = on_meta(classifier, 1).eval(), []
    last = network.layer4 if isinstance(classifier, Resnet18) else network.features
    last.register_forward_hook(lambda module, given, made: sides.append(tuple(made.shape[2:])))
    network(torch.zeros(1, 3, 64, 64, device="meta"))
    assert [(side, side)] == sides


@pytest.mark.parametrize("classifier", [Resnet18(stem="small"), Vgg16(), Densenet121(stem="small")])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_images_give_a_logit_an_output(classifier, channels):
    network = starting_network(classifier, outputs=3).eval()
    logits = network(torch.zeros(2, channels, 32, 32))
    assert (2, 3) == tuple(logits.shape)
    assert bool(torch.isfinite(logits).all())


def test_the_same_seed_draws_the_same_first_weights():
    drawn = []
    for seed in (1, 1, 2):
        with classifying.torch_session(seed):
            drawn.append(make_network(Vgg16(), 1).state_dict()["features.28.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_white_and_black_are_scaled_as_imagenet_weights_expect():
    prepared = Prepare(pretrained=True)(torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 3, 1, 1))
    expected = [[(value - 0.485) / 0.229, (value - 0.456) / 0.224, (value - 0.406) / 0.225] for value in (1, 0)]
    np.testing.assert_allclose(prepared[:, :, 0, 0].numpy(), expected, rtol=1e-5)


def test_without_pretrained_weights_pixels_stay_as_they_are_and_grey_becomes_three_equal_colours():
    images = torch.tensor([[[[-1.0, 0.25]]]])
    assert torch.equal(images.expand(1, 3, 1, 2), Prepare(pretrained=False)(images))


def test_the_place_of_a_stripe_is_learned(tmp_path):
    classifier = Resnet18(steps=16, batch_size=12, size=32, stem="standard")
    predictor, images = fit(tmp_path, classifier, classes=3, channels=1), labelled(24, 2000, classes=3, channels=1)
    assert (predictor.predict(images.images).argmax(axis=1) == images.labels).mean() > 0.9


@pytest.mark.parametrize(("classes", "outputs"), [(2, 1), (3, 3)])
def test_two_classes_have_one_output_and_more_have_one_each(tmp_path, classes, outputs):
    assert outputs == fit(tmp_path, CHEAP[Resnet18](steps=1), classes).network.network.fc.out_features


def test_images_of_another_size_are_resized_and_the_log_says_so_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        predictor = fit(tmp_path, CHEAP[Resnet18](steps=1), size=40)
        predictor.predict(labelled(2, 2000, size=40).images)
    assert ["resnet18 resizes images of 40x40 to 32x32 pixels"] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("settings", [{"size": 31}, {"batch_size": 1}, {"stem": "big"}, {"head": "small"}])
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(ValidationError):
        Resnet18(**settings)


def test_registering_imports_neither_torch_nor_numpy():
    code = (
        "import sys, lesionbench_torchvision_models as p; p.register_classifiers(); "
        "print({'torch', 'torchvision', 'numpy'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == answer.stdout.strip()
