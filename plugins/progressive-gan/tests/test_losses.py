from __future__ import annotations

from math import log, sqrt

import pytest
import torch

from lesionbench_progressive_gan.losses import class_loss, critic_loss, gradient_penalty

IMAGES = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
ALONG = torch.tensor([0.0, 0.5, 1.0])


def linear(*weights):
    return lambda images: images.flatten(1) @ torch.tensor(weights)


@pytest.mark.parametrize(
    ("weights", "penalty"),
    [((3.0, 0.0, 4.0, 0.0), 160.0), ((0.5, 0.5, 0.5, 0.5), 0.0), ((0.0, 0.0, 0.0, 2.0), 10.0)],  # norms 5, 1 and 2
)
def test_a_linear_critic_is_fined_ten_times_the_square_of_its_norm_less_one(weights, penalty):
    assert float(gradient_penalty(linear(*weights), *IMAGES, ALONG)) == pytest.approx(penalty)


def test_the_gradient_is_taken_between_the_synthetic_and_the_real_image():
    real, fake = torch.full((3, 1, 1, 1), 4.0), torch.zeros(3, 1, 1, 1)
    # x**2 / 2 has the gradient x: 0, 2 and 4 at these three places, so (1 + 1 + 9) / 3.
    penalty = gradient_penalty(lambda x: x.square().flatten() / 2, real, fake, ALONG)
    assert penalty.item() == pytest.approx(10 * 11 / 3)


def test_a_flat_critic_is_fined_and_its_weights_stay_finite():
    weight = torch.zeros(4, requires_grad=True)
    penalty = gradient_penalty(lambda images: images.flatten(1) @ weight, *IMAGES, ALONG)
    penalty.backward()
    assert 10 == penalty.item()
    assert [0, 0, 0, 0] == weight.grad.tolist()


def test_the_penalty_trains_the_critic():
    weight = torch.tensor([3.0, 0.0, 4.0, 0.0], requires_grad=True)
    gradient_penalty(lambda images: images.flatten(1) @ weight, *IMAGES, ALONG).backward()
    # 10 (|w| - 1)^2 has the gradient 20 (|w| - 1) w / |w| = 80 (0.6, 0, 0.8, 0).
    assert weight.grad.tolist() == pytest.approx([48, 0, 64, 0])


def test_the_critics_loss_is_worked_out_by_hand():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, -0.5])
    assert float(critic_loss(real, fake)) == pytest.approx(0 - 2 + 0.001 * 5)


def test_the_class_loss_looks_past_the_first_column():
    scores = torch.tensor([[9.0, 0.0, log(3.0)], [-9.0, 0.0, 0.0]])
    assert float(class_loss(scores, torch.tensor([1, 0]))) == pytest.approx((log(4 / 3) + log(2)) / 2)


def test_there_is_no_class_loss_without_classes():
    assert 0 == float(class_loss(torch.tensor([[sqrt(2)]]), torch.tensor([0])))
