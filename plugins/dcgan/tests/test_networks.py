from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan.networks import ARCHITECTURES, normal_noise, uniform_noise

# The KTH report, appendix "Full structure of GAN".
APPENDIX_GENERATOR = """
(0): ConvTranspose2d(100, 128, kernel_size=(4, 4), stride=(1, 1), bias=False)
(1): BatchNorm2d(128, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
(2): ReLU(inplace=True)
(3): ConvTranspose2d(128, 64, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
(4): BatchNorm2d(64, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
(5): ReLU(inplace=True)
(6): ConvTranspose2d(64, 32, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
(7): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
(8): ReLU(inplace=True)
(9): ConvTranspose2d(32, 3, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
(10): Tanh()
"""
APPENDIX_DISCRIMINATOR = """
(0): Conv2d(3, 32, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
(1): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
(2): LeakyReLU(negative_slope=0.2, inplace=True)
(3): Conv2d(32, 64, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
(4): BatchNorm2d(64, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
(5): LeakyReLU(negative_slope=0.2, inplace=True)
(6): Conv2d(64, 128, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
(7): BatchNorm2d(128, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
(8): LeakyReLU(negative_slope=0.2, inplace=True)
(9): Conv2d(128, 1, kernel_size=(4, 4), stride=(1, 1), bias=False)
(10): Sigmoid()
"""


def built(architecture: str, part: str, channels: int = 3) -> nn.Module:
    with torch_session(0):
        return getattr(ARCHITECTURES[architecture], part)(channels)


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def of_batch_norm(network: nn.Module) -> int:
    return sum(parameters(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d))


def layers(network: nn.Module) -> list[str]:
    """One line a layer, as torch prints it; newer versions of torch also print batch norm's default `bias=True`."""
    return [f"({n}): {layer}".replace("affine=True, bias=True", "affine=True") for n, layer in enumerate(network.main)]


def test_the_kth_generator_is_the_appendix_layer_by_layer():
    assert APPENDIX_GENERATOR.strip().splitlines() == layers(built("kth", "generator"))


def test_the_kth_discriminator_is_the_appendix_layer_by_layer():
    assert APPENDIX_DISCRIMINATOR.strip().splitlines() == layers(built("kth", "discriminator"))


def test_the_kth_networks_have_370624_and_167872_parameters():
    assert 370_624 == parameters(built("kth", "generator"))
    assert 167_872 == parameters(built("kth", "discriminator"))


def test_the_frid_adar_networks_have_the_papers_number_of_parameters():
    generator, discriminator = (built("frid-adar", part, channels=1) for part in ("generator", "discriminator"))
    assert (18_862_081, 3_840) == (parameters(generator) - of_batch_norm(generator), of_batch_norm(generator))
    assert (4_311_553, 1_792) == (
        parameters(discriminator) - of_batch_norm(discriminator),
        of_batch_norm(discriminator),
    )


def test_the_frid_adar_generator_halves_its_channels_and_doubles_its_side_four_times():
    generator, sides = built("frid-adar", "generator", channels=1).eval(), []
    for layer in generator.main:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, __, output: sides.append(tuple(output.shape[1:])))
    with torch.no_grad():
        generator(torch.zeros(1, 100))
    assert [(512, 8, 8), (256, 16, 16), (128, 32, 32), (1, 64, 64)] == sides


def test_the_frid_adar_discriminator_has_no_batch_norm_at_its_input_and_output():
    kinds = [re.match(r"\w+", repr(layer))[0] for layer in built("frid-adar", "discriminator").main]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert ["Conv2d", "LeakyReLU", *block, *block, *block, "Flatten", "Linear", "Sigmoid"] == kinds


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("architecture", "size"), [("kth", 32), ("frid-adar", 64)])
def test_images_have_the_networks_size_and_lie_between_minus_one_and_one(architecture, size, channels):
    kind = ARCHITECTURES[architecture]
    generator = built(architecture, "generator", channels).eval()
    with torch.no_grad():
        images = generator(kind.noise(2, torch.Generator().manual_seed(0)))
    assert size == kind.size
    assert (2, channels, size, size) == tuple(images.shape)
    assert float(images.abs().max()) <= 1


@pytest.mark.parametrize("architecture", ["kth", "frid-adar"])
def test_the_discriminator_gives_the_probability_that_its_logits_mean(architecture):
    discriminator = built(architecture, "discriminator").eval()
    size = ARCHITECTURES[architecture].size
    images = torch.linspace(-1, 1, 2 * 3 * size * size).view(2, 3, size, size)
    with torch.no_grad():
        probability = discriminator(images)
        assert torch.equal(discriminator.main(images).flatten(), probability)
        assert torch.equal(torch.sigmoid(discriminator.logits(images)), probability)
    assert (2,) == tuple(probability.shape)


def test_kth_noise_is_normal_and_frid_adar_noise_is_uniform():
    random = torch.Generator().manual_seed(0)
    normal, uniform = normal_noise(2000, random), uniform_noise(2000, random)
    assert (2000, 100) == tuple(normal.shape) == tuple(uniform.shape)
    assert float(normal.mean()) == pytest.approx(0, abs=0.01)
    assert float(normal.std()) == pytest.approx(1, abs=0.01)
    assert float(normal.abs().max()) > 3
    assert float(uniform.abs().max()) <= 1
    assert float(uniform.std()) == pytest.approx(3**-0.5, abs=0.01)
