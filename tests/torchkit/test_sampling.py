from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from lesionbench.torchkit.sampling import CHUNK, draw_nested, load_networks, restored_network, save_networks
from lesionbench.torchkit.training import torch_session


def drawn(count, shape=(4, 4, 1), asked=None):
    random = torch.Generator().manual_seed(0)

    def draw(number):
        if asked is not None:
            asked.append((number, torch.get_num_threads(), torch.is_grad_enabled()))
        return torch.rand(number, shape[2], 4, 4, generator=random) * 2 - 1

    return draw_nested(draw, count, shape)


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_smaller_count_is_the_beginning_of_a_larger_one(count):
    assert np.array_equal(drawn(3 * CHUNK)[:count], drawn(count))
    assert (count, 4, 4, 1) == drawn(count).shape


def test_networks_are_always_asked_for_one_number_of_images_in_one_thread_and_without_gradients():
    asked = []
    drawn(CHUNK + 1, asked=asked)
    assert [(CHUNK, 1, False)] * 2 == asked


def test_images_of_another_size_are_scaled_to_the_shape_asked_for():
    images = draw_nested(lambda number: torch.full((number, 3, 4, 4), 1.0), 2, (6, 9, 3))
    assert np.array_equal(np.full((2, 6, 9, 3), 255, np.uint8), images)


def two_networks():
    with torch_session(0):
        return [nn.Linear(2, 3), nn.Linear(2, 3)]


def test_saved_networks_are_loaded_in_their_order_with_their_settings(tmp_path):
    saved = two_networks()
    save_networks(tmp_path, {"size": 32}, saved)
    settings, states = load_networks(tmp_path)
    assert {"size": 32} == settings == json.loads((tmp_path / "sampler.json").read_text())
    for network, state in zip(saved, states, strict=True):
        loaded = restored_network(lambda: nn.Linear(2, 3), state)
        assert torch.equal(network.weight, loaded.weight)
        assert not loaded.training


def test_more_than_ten_networks_keep_their_order(tmp_path):
    with torch_session(0):
        networks = [nn.Linear(1, 1) for _ in range(12)]
    save_networks(tmp_path, {}, networks)
    expected = [network.weight.item() for network in networks]
    assert expected == [state["weight"].item() for state in load_networks(tmp_path)[1]]


def test_reviving_a_network_draws_nothing_from_the_global_random_state():
    state = two_networks()[0].state_dict()
    before = torch.get_rng_state()
    restored_network(lambda: nn.Linear(2, 3), state)
    assert torch.equal(before, torch.get_rng_state())
