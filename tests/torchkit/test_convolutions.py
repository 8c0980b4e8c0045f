from __future__ import annotations

import pytest
import torch
from torch import nn

from lesionbench.torchkit.convolutions import FEW, Conv2d, ConvTranspose2d
from lesionbench.torchkit.training import torch_session

CONVOLUTIONS = [  # inputs, outputs, kernel, stride, padding; side of the input
    ((5, 3, 4), 4),  # a single window
    ((5, 3, 4, 2, 1), 8),
    ((5, 3, 5, 2, 2), 8),
    ((5, 3, 5, 2, 2), 7),
    ((5, 3, 3, 1, 1), 4),
    ((5, 3, 2, 3), 8),  # pixels between windows that none covers
    ((5, 3, 4, 2, 1), 16),  # more windows than FEW
]
TRANSPOSED = [  # inputs, outputs, kernel, stride, padding, output padding; side of the input
    ((5, 3, 4), 1),
    ((5, 3, 4, 2, 1), 4),
    ((5, 3, 5, 2, 2, 1), 4),
    ((5, 3, 3, 1, 1), 3),
    ((5, 3, 2, 3, 0, 2), 3),
    ((5, 3, 5, 2, 2, 1), 8),
]


@pytest.fixture(autouse=True)
def _session():
    with torch_session(0):
        yield


def gradients(layer: nn.Module, maps: torch.Tensor) -> list[torch.Tensor]:
    """Output, first derivatives, and a second derivative, as a gradient penalty needs it."""
    maps = maps.clone().requires_grad_()
    made = layer(maps)
    weighted = (made * torch.linspace(-1, 1, made.numel()).view_as(made)).square().sum()
    first = torch.autograd.grad(weighted, [maps, *layer.parameters()], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), layer.weight)
    return [made, *first, *second]


def compare(ours: nn.Module, plain: nn.Module, maps: torch.Tensor) -> None:
    plain.load_state_dict(ours.state_dict())
    for network in (ours, plain):
        network.to(memory_format=torch.channels_last)
    for found, expected in zip(gradients(ours, maps), gradients(plain, maps), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("shape", "side"), CONVOLUTIONS)
def test_a_convolution_gives_what_torchs_gives(shape, side, bias):
    compare(Conv2d(*shape, bias=bias), nn.Conv2d(*shape, bias=bias), torch.randn(2, 5, side, side))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("shape", "side"), TRANSPOSED)
def test_a_transposed_convolution_gives_what_torchs_gives(shape, side, bias):
    compare(ConvTranspose2d(*shape, bias=bias), nn.ConvTranspose2d(*shape, bias=bias), torch.randn(2, 5, side, side))


@pytest.mark.parametrize("images", [0, 1])
@pytest.mark.parametrize(
    ("layer", "side"), [(Conv2d(256, 512, 5, 2, 2), 4), (ConvTranspose2d(512, 256, 5, 2, 2, 1), 4)]
)
def test_a_batch_may_be_small_or_empty(layer, side, images):
    found = layer(torch.ones(images, layer.in_channels, side, side))
    plain = super(type(layer), layer).forward(torch.ones(images, layer.in_channels, side, side))
    torch.testing.assert_close(found, plain)


def test_maps_that_are_not_square_are_convolved():
    layer = Conv2d(5, 3, 4, 2, 1)
    compare(layer, nn.Conv2d(5, 3, 4, 2, 1), torch.randn(2, 5, 8, 6))


@pytest.mark.parametrize(
    ("layer", "maps", "product"),
    [
        (Conv2d(5, 3, 4), (2, 5, 4, 4), True),
        (Conv2d(256, 512, 5, 2, 2), (1, 256, FEW, FEW), True),
        (Conv2d(256, 512, 5, 2, 2), (1, 256, 4 * FEW, 4 * FEW), False),
        (ConvTranspose2d(5, 3, 4), (2, 5, 1, 1), True),
        (ConvTranspose2d(5, 3, 4, 2, 1), (2, 5, 4, 4), False),
    ],
)
def test_products_are_used_for_few_windows_alone(layer, maps, product):
    with torch.profiler.profile() as profile:
        layer(torch.zeros(maps))
    operators = {event.name for event in profile.events()}
    assert product == ("aten::convolution" not in operators)


def test_in_bfloat16_overlapping_windows_are_left_to_torch():
    layer, plain = Conv2d(5, 3, 4, 2, 1), nn.Conv2d(5, 3, 4, 2, 1)
    plain.load_state_dict(layer.state_dict())
    maps = torch.randn(2, 5, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(maps), plain(maps))


@pytest.mark.parametrize("layer", [Conv2d(3, 32, 4, 2, 1), ConvTranspose2d(128, 64, 4, 2, 1, bias=False)])
def test_a_layer_is_described_and_saved_as_torchs_own(layer):
    kind = getattr(nn, type(layer).__name__)
    plain = kind(layer.in_channels, layer.out_channels, 4, 2, 1, bias=layer.bias is not None)
    assert repr(plain) == repr(layer)
    assert {name: value.shape for name, value in plain.state_dict().items()} == {
        name: value.shape for name, value in layer.state_dict().items()
    }
