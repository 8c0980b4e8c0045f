from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch.nn import functional

from lesionbench.torchkit.training import torch_session
from lesionbench_progressive_gan.codes import codes, latents
from lesionbench_progressive_gan.layers import (
    Convolution,
    EqualizedAdam,
    Linear,
    downsampled,
    draw_weights,
    pixel_norm,
    upsampled,
    window_sum,
    with_deviation,
)
from lesionbench_progressive_gan.networks import Blueprint, Discriminator, Generator
from lesionbench_progressive_gan.schedule import Moment

TINY = Blueprint(size=16, channels=3, classes=2, latent=6, width=4, base=16)  # features 4, 4 and 2


def drawn(network):
    draw_weights(network, torch.Generator().manual_seed(0))
    return network


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("layer", "scale"),
    [
        (Convolution(8, 5), sqrt(2 / 72)),  # 8 features, 3 x 3
        (Convolution(16, 3, 1, gain=1.0), 1 / 4),  # to colour
        (Linear(50, 4), sqrt(2 / 50)),
        (Linear(64, 4, gain=sqrt(2) / 4), sqrt(2) / 32),  # the first layer
    ],
)
def test_the_scale_is_the_gain_over_the_root_of_the_fan_in(layer, scale):
    assert layer.scale == pytest.approx(scale)


def test_weights_are_hes_and_biases_are_zero():
    layer = drawn(Convolution(64, 64))
    assert float(layer.weight.detach().std()) == pytest.approx(sqrt(2 / (64 * 9)), rel=0.01)
    assert 0 == float(layer.bias.detach().abs().max())


def test_adam_learns_what_it_would_learn_of_weights_that_are_scaled_at_every_use():
    layer, features = drawn(Linear(50, 4)), 1e-7 * noise(8, 50)  # gradients of eps's size, so that eps counts
    scaled, bias = (layer.weight.detach() / layer.scale).requires_grad_(), layer.bias.detach().clone().requires_grad_()
    ours, plain = EqualizedAdam(layer, 0.01, (0.5, 0.9)), torch.optim.Adam([scaled, bias], 0.01, (0.5, 0.9))
    for _ in range(5):
        for optimizer, outputs in (
            (ours, layer(features)),
            (plain, functional.linear(features, scaled * layer.scale, bias)),
        ):
            optimizer.zero_grad()
            outputs.sum().backward()
            optimizer.step()
    torch.testing.assert_close(scaled * layer.scale, layer.weight)
    torch.testing.assert_close(bias, layer.bias)


def test_equalised_layers_keep_a_variance_of_two_whatever_the_fan_in():
    for features in (4, 256):
        assert float(drawn(Linear(features, 512))(noise(512, features)).detach().var()) == pytest.approx(2, rel=0.15)


def test_pixel_norm_of_three_and_four_is_worked_out_by_hand():
    vector = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)  # mean square 12.5
    assert pixel_norm(vector).flatten().tolist() == pytest.approx([3 / sqrt(12.5), 4 / sqrt(12.5)])


def test_pixel_norm_of_nothing_is_nothing():
    assert 0 == float(pixel_norm(torch.zeros(1, 2, 1, 1)).abs().max())


def test_the_deviation_of_a_tiny_batch_is_worked_out_by_hand():
    features = torch.zeros(4, 2, 1, 2)
    features[:, 0, 0, 0] = torch.tensor([0.0, 0.0, 2.0, 2.0])  # deviation 1
    features[:, 1, 0, 1] = torch.tensor([1.0, 3.0, 5.0, 7.0])  # deviation sqrt(5)
    result = with_deviation(features)
    assert (4, 3, 1, 2) == tuple(result.shape)
    assert torch.equal(features, result[:, :2])
    expected = (1 + sqrt(5)) / 4  # two of the four are constant: deviation sqrt(1e-8)
    assert result[:, 2].flatten().tolist() == pytest.approx([expected] * 8, abs=1e-4)


def test_groups_of_four_images_have_deviations_of_their_own():
    features = torch.tensor([5.0, 5.0, 5.0, 5.0, 1.0, 1.0, 3.0, 3.0]).view(8, 1, 1, 1)
    assert with_deviation(features)[:, 1].flatten().tolist() == pytest.approx([0.0] * 4 + [1.0] * 4, abs=2e-4)


def test_a_batch_of_two_is_one_group():
    assert with_deviation(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1))[:, 1].flatten().tolist() == pytest.approx([1, 1])


def test_window_sums_are_worked_out_by_hand():
    image = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).view(1, 1, 2, 3)
    assert [[12.0, 16.0]] == window_sum(image)[0, 0].tolist()
    assert [[1, 3, 5, 3], [5, 12, 16, 9], [4, 9, 11, 6]] == window_sum(image, border=True)[0, 0].tolist()


@pytest.mark.parametrize("border", [False, True])
def test_window_sums_can_be_differentiated_twice(border):
    image = noise(2, 3, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(window_sum, (image, border))
    assert torch.autograd.gradgradcheck(lambda x: window_sum(x, border).square(), (image,))


def test_the_gradient_of_pixel_norm_is_right():
    assert torch.autograd.gradcheck(pixel_norm, (noise(2, 5, 3, 3).double().requires_grad_(),))


def test_pixel_norm_refuses_to_be_differentiated_twice_rather_than_to_be_wrong():
    features = noise(2, 5, 3, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(pixel_norm(features).pow(3).sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_up_is_nearest_upsampling_and_then_the_convolution():
    layer, features = drawn(Convolution(3, 5, resampling="up")), noise(2, 3, 6, 6)
    larger = functional.interpolate(features, scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(functional.conv2d(larger, layer.weight, padding=1), layer(features))


def test_down_is_the_convolution_and_then_average_pooling():
    layer, features = drawn(Convolution(3, 5, resampling="down")), noise(2, 3, 6, 6)
    whole = functional.conv2d(features, 4 * layer.weight, padding=1)
    torch.testing.assert_close(functional.avg_pool2d(whole, 2), layer(features))


def test_upsampling_repeats_and_downsampling_averages():
    image = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).view(1, 1, 2, 2)
    assert [[1, 1, 3, 3], [1, 1, 3, 3], [5, 5, 7, 7], [5, 5, 7, 7]] == upsampled(image)[0, 0].tolist()
    assert [[4.0]] == downsampled(image)[0, 0].tolist()


def test_latents_lie_on_a_sphere_of_radius_root_of_their_length():
    drawn_latents = latents(5, 49, torch.Generator().manual_seed(0))
    assert (5, 49) == tuple(drawn_latents.shape)
    assert drawn_latents.norm(dim=1).tolist() == pytest.approx([7.0] * 5)


def test_labels_stand_behind_the_latent():
    latent = torch.tensor([[0.5, -0.5], [0.1, 0.2]])
    assert [[0.5, -0.5, 0, 0, 1], [0.1, 0.2, 1, 0, 0]] == [
        pytest.approx(row) for row in codes(latent, torch.tensor([2, 0]), 3).tolist()
    ]
    assert latent is codes(latent, torch.tensor([2, 0]), 0)


def test_features_halve_with_the_level_below_the_width():
    plan = Blueprint(256, 3, 0, latent=512, width=512, base=8192)
    assert [512, 512, 512, 512, 256, 128, 64] == [plan.features(level) for level in range(7)]  # the paper's table 2
    assert 1 == Blueprint(256, 3, 0, 8, width=8, base=4).features(6)


def test_the_generators_parameters_are_counted_by_hand():
    first = (6 + 2) * 64 + 64  # 8 codes to 4 features of 4 x 4
    second = 4 * 4 * 9 + 4
    eight = (4 * 4 * 9 + 4) + (4 * 4 * 9 + 4)
    sixteen = (4 * 2 * 9 + 2) + (2 * 2 * 9 + 2)
    colours = (4 * 3 + 3) + (4 * 3 + 3) + (2 * 3 + 3)
    assert 1171 == first + second + eight + sixteen + colours == parameters(Generator(TINY))


def test_the_discriminators_parameters_are_counted_by_hand():
    colours = (3 * 4 + 4) + (3 * 4 + 4) + (3 * 2 + 2)
    sixteen = (2 * 2 * 9 + 2) + (2 * 4 * 9 + 4)
    eight = (4 * 4 * 9 + 4) + (4 * 4 * 9 + 4)
    mixing = (4 + 1) * 4 * 9 + 4
    dense = (64 * 4 + 4) + (4 * 3 + 3)
    assert 909 == colours + sixteen + eight + mixing + dense == parameters(Discriminator(TINY))


def test_the_papers_networks_at_256_pixels_have_23_million_parameters_each():
    paper = Blueprint(256, 3, 0, latent=512, width=512, base=8192)
    with torch.device("meta"):
        counts = [parameters(kind(paper)) for kind in (Generator, Discriminator)]
    assert [23_051_989, 23_052_353] == counts


@pytest.mark.parametrize("level", [0, 1, 2])
def test_images_and_scores_have_the_levels_shapes(level):
    side = 4 * 2**level
    images = drawn(Generator(TINY))(noise(4, 8), Moment(level, 1.0))
    assert (4, 3, side, side) == tuple(images.shape)
    assert (4, 3) == tuple(drawn(Discriminator(TINY))(images, Moment(level, 1.0)).shape)


@torch.no_grad()
def test_a_level_begins_as_the_one_below_and_ends_as_itself():
    generator, code = drawn(Generator(TINY)), noise(4, 8)
    below, above = generator(code, Moment(1, 1.0)), generator(code, Moment(2, 1.0))
    assert torch.equal(upsampled(below), generator(code, Moment(2, 0.0)))
    torch.testing.assert_close(above, generator(code, Moment(2, 1 - 1e-7)))
    torch.testing.assert_close(0.75 * upsampled(below) + 0.25 * above, generator(code, Moment(2, 0.25)))


@torch.no_grad()
def test_the_discriminator_begins_a_level_as_it_saw_the_smaller_images():
    discriminator, images = drawn(Discriminator(TINY)), noise(4, 3, 16, 16)
    smaller = discriminator(downsampled(images), Moment(1, 1.0))
    torch.testing.assert_close(smaller, discriminator(images, Moment(2, 0.0)))
    assert not torch.allclose(smaller, discriminator(images, Moment(2, 1.0)))


def test_drawing_weights_needs_no_global_random_state():
    with torch_session(1):
        one = drawn(Generator(TINY)).state_dict()
    with torch_session(2):
        other = drawn(Generator(TINY)).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
