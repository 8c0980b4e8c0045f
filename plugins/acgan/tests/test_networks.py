from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from lesionbench.torchkit.training import torch_session
from lesionbench_acgan.networks import Blueprint, uniform_noise

FRID_ADAR = Blueprint("frid-adar", size=64, width=64, channels=1, classes=3)
ODENA = Blueprint("odena", size=128, width=16, channels=3, classes=10)


def built(plan: Blueprint, part: str) -> nn.Module:
    with torch_session(0):
        return getattr(plan, part)()


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def counted(network: nn.Module) -> tuple[int, int]:
    """Weights and biases of everything but batch norm, and those of batch norm."""
    norms = sum(parameters(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    return parameters(network) - norms, norms


def maps(network: nn.Module, kind: type[nn.Module], *inputs: torch.Tensor) -> list[tuple[int, ...]]:
    """Channels, height and width after each layer of this kind."""
    shapes: list[tuple[int, ...]] = []
    for layer in network.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        network.eval()(*inputs)
    return shapes


def test_the_frid_adar_generator_has_as_many_parameters_as_the_paper_describes():
    # Embedding 3*10, linear (100+10)*16384 + 16384 for 1024 maps of 4x4, then 5x5 kernels and a bias a channel:
    # 1024*512*25 + 512, 512*256*25 + 256, 256*128*25 + 128, 128*1*25 + 1
    expected = 30 + 1_818_624 + 13_107_712 + 3_277_056 + 819_328 + 3_201
    assert 19_025_951 == expected
    # Batch norm: 2 * (1024 + 512 + 256 + 128)
    assert (expected, 3_840) == counted(built(FRID_ADAR, "generator"))


def test_the_frid_adar_discriminator_has_dcgans_parameters_and_a_head_of_one_and_three():
    # 1*64*25 + 64, 64*128*25 + 128, 128*256*25 + 256, 256*512*25 + 512, heads (512*4*4)*(1+3) + 4
    expected = 1_664 + 204_928 + 819_456 + 3_277_312 + 32_772
    assert 4_336_132 == expected
    # Batch norm: 2 * (128 + 256 + 512)
    assert (expected, 1_792) == counted(built(FRID_ADAR, "discriminator"))


def test_the_odena_generator_has_as_many_parameters_as_the_appendix_describes():
    # Linear (100+10)*49152 + 49152 for 768 maps of 8x8, then 5x5 kernels and a bias a channel:
    # 768*384*25 + 384, 384*256*25 + 256, 256*192*25 + 192, 192*3*25 + 3
    expected = 5_455_872 + 7_373_184 + 2_457_856 + 1_228_992 + 14_403
    assert 16_530_307 == expected
    # Batch norm: 2 * (768 + 384 + 256 + 192)
    assert (expected, 3_200) == counted(built(ODENA, "generator"))


def test_the_odena_discriminator_has_as_many_parameters_as_the_appendix_describes():
    # 3*16*9 + 16, 16*32*9 + 32, 32*64*9 + 64, 64*128*9 + 128, 128*256*9 + 256, 256*512*9 + 512,
    # heads (512*16*16)*(1+10) + 11
    expected = 448 + 4_640 + 18_496 + 73_856 + 295_168 + 1_180_160 + 1_441_803
    assert 3_014_571 == expected
    # Batch norm: 2 * (32 + 64 + 128 + 256 + 512)
    assert (expected, 1_984) == counted(built(ODENA, "discriminator"))


def test_the_frid_adar_generator_halves_its_channels_and_doubles_its_side_four_times():
    found = maps(built(FRID_ADAR, "generator"), nn.ConvTranspose2d, torch.zeros(1, 100), torch.tensor([2]))
    assert [(512, 8, 8), (256, 16, 16), (128, 32, 32), (1, 64, 64)] == found


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [
        (16, [(4, 8, 8), (1, 16, 16)], [(2, 8, 8), (4, 4, 4)]),
        (32, [(8, 8, 8), (4, 16, 16), (1, 32, 32)], [(2, 16, 16), (4, 8, 8), (8, 4, 4)]),
        (
            128,
            [(32, 8, 8), (16, 16, 16), (8, 32, 32), (4, 64, 64), (1, 128, 128)],
            [(2, 64, 64), (4, 32, 32), (8, 16, 16), (16, 8, 8), (16, 4, 4)],
        ),
    ],
)
def test_frid_adar_networks_of_another_size_begin_or_end_at_4_pixels(size, generator, discriminator):
    plan = Blueprint("frid-adar", size, 2, 1, 2)
    noise, label = torch.zeros(1, 100), torch.tensor([0])
    assert generator == maps(built(plan, "generator"), nn.ConvTranspose2d, noise, label)
    assert discriminator == maps(built(plan, "discriminator"), nn.Conv2d, torch.zeros(1, 1, size, size))


def test_the_odena_discriminator_strides_in_every_other_layer():
    found = maps(built(ODENA, "discriminator"), nn.Conv2d, torch.zeros(1, 3, 128, 128))
    assert [(16, 64, 64), (32, 64, 64), (64, 32, 32), (128, 32, 32), (256, 16, 16), (512, 16, 16)] == found
    strides = [layer.stride for layer in built(ODENA, "discriminator").modules() if isinstance(layer, nn.Conv2d)]
    assert [(2, 2), (1, 1)] * 3 == strides


def kinds(network: nn.Sequential) -> list[str]:
    return [re.match(r"\w+", repr(layer))[0] for layer in network]


def test_the_frid_adar_discriminator_has_no_batch_norm_at_its_input_and_no_dropout():
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert ["Conv2d", "LeakyReLU", *block, *block, *block, "Flatten"] == kinds(built(FRID_ADAR, "discriminator").body)


def test_the_odena_discriminator_drops_half_of_every_layer_but_the_last():
    body = built(ODENA, "discriminator").body
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU", "Dropout"]
    assert ["Conv2d", "LeakyReLU", "Dropout", *(block * 5), "Flatten"] == kinds(body)
    assert {0.5} == {layer.p for layer in body if isinstance(layer, nn.Dropout)}
    assert {0.2} == {layer.negative_slope for layer in body if isinstance(layer, nn.LeakyReLU)}


@pytest.mark.parametrize("classes", [1, 2, 7])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("architecture", ["frid-adar", "odena"])
def test_networks_fit_any_size_number_of_channels_and_number_of_classes(architecture, size, channels, classes):
    plan = Blueprint(architecture, size, 2, channels, classes)
    labels = torch.arange(3) % classes
    with torch.no_grad():
        images = built(plan, "generator").eval()(uniform_noise(3, torch.Generator().manual_seed(0)), labels)
        source, of_class = built(plan, "discriminator").eval()(images)
    assert (3, channels, size, size) == tuple(images.shape)
    assert float(images.abs().max()) <= 1
    assert ((3,), (3, classes)) == (tuple(source.shape), tuple(of_class.shape))


@pytest.mark.parametrize("architecture", ["frid-adar", "odena"])
def test_the_same_noise_makes_another_image_for_another_class(architecture):
    generator = built(Blueprint(architecture, 16, 2, 1, 2), "generator").eval()
    noise = uniform_noise(1, torch.Generator().manual_seed(0)).repeat(2, 1)
    with torch.no_grad():
        one, other = generator(noise, torch.tensor([0, 1]))
    assert not torch.equal(one, other)


def test_noise_is_uniform_between_minus_one_and_one():
    noise = uniform_noise(2000, torch.Generator().manual_seed(0))
    assert (2000, 100) == tuple(noise.shape)
    assert float(noise.abs().max()) <= 1
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(3**-0.5, abs=0.01)
