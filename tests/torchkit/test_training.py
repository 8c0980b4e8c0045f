from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from lesionbench.errors import TrainingDiverged
from lesionbench.pipeline.context import derive_seed
from lesionbench.torchkit.training import (
    STEPS_AHEAD,
    Ahead,
    balanced_batches,
    batches,
    check_finite,
    torch_session,
)


def draw(seed):
    with torch_session(seed):
        return torch.randn(4)


def global_state():
    return (
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def test_a_session_draws_the_same_for_one_seed_and_other_numbers_for_another():
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_a_session_takes_seeds_of_64_bits():
    assert torch.isfinite(draw(2**64 - 1)).all()


def test_a_session_leaves_global_state_as_it_was_even_after_an_error():
    before = global_state()
    with pytest.raises(RuntimeError), torch_session(3):
        torch.randn(4).reshape(3)  # an error in the middle of a training
    assert before == global_state()


def test_a_session_on_the_cpu_runs_in_one_thread():
    with torch_session(1):
        assert 1 == torch.get_num_threads()


def test_batches_bring_every_index_once_before_any_comes_again():
    seen = torch.cat(list(islice(batches(10, 4, seed=1), 5))).tolist()
    assert list(range(10)) == sorted(seen[:10])
    assert list(range(10)) == sorted(seen[10:])
    assert seen[:10] != seen[10:]


def test_a_batch_is_full_when_there_are_fewer_images():
    assert [8, 8] == [len(batch) for batch in islice(batches(3, 8, seed=1), 2)]


def test_batches_depend_on_their_seed_and_not_on_global_state():
    before = torch.get_rng_state()
    one, same, other = (torch.cat(list(islice(batches(50, 8, seed), 3))).tolist() for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert torch.equal(before, torch.get_rng_state())


def in_passes(count, seed):
    """Endless positions, one at a time: 0..count-1 in one random order after the other."""
    random = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=random).tolist()


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_batches_are_the_passes_cut_into_pieces(count):
    number = STEPS_AHEAD + 3
    found = torch.stack(list(islice(batches(count, 6, seed=5), number)))
    assert list(islice(in_passes(count, 5), 6 * number)) == found.flatten().tolist()


@pytest.mark.parametrize("counts", [(4,), (1, 30, 7), (5, 5)])
def test_balanced_batches_are_the_next_class_and_then_the_next_image_of_that_class(counts):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    classes = in_passes(len(counts), derive_seed("classes", 5) % 2**63)
    within = [in_passes(count, derive_seed("order", 5, label) % 2**63) for label, count in enumerate(counts)]
    number = STEPS_AHEAD + 3
    found = torch.stack(list(islice(balanced_batches(labels, 6, seed=5), number)))
    expected = [np.flatnonzero(labels == label)[next(within[label])] for label in islice(classes, 6 * number)]
    assert expected == found.flatten().tolist()


def test_random_numbers_that_are_drawn_ahead_are_those_of_single_draws_and_go_on_where_they_were():
    def ahead():
        random = torch.Generator().manual_seed(3)
        return random, Ahead(lambda steps: torch.stack([torch.randn(5, generator=random) for _ in range(steps)]), "cpu")

    single = torch.Generator().manual_seed(3)
    expected = [torch.randn(5, generator=single) for _ in range(STEPS_AHEAD + 9)]
    (random, whole), (other_random, other) = ahead(), ahead()
    found = list(islice(whole, STEPS_AHEAD + 3))
    other_random.set_state(random.get_state())
    other.load_state_dict(whole.state_dict())
    assert torch.equal(torch.stack([*found, *islice(other, 6)]), torch.stack(expected))
    assert other.taken == STEPS_AHEAD + 9


def test_batches_say_how_many_were_taken():
    order = batches(10, 4, seed=1)
    next(order)
    next(order)
    assert 2 == order.taken


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_is_named_with_its_step(value):
    with pytest.raises(TrainingDiverged, match=r"'critic'.*at step 7.*learning_rate"):
        check_finite(7, loss=0.5, critic=value)


def test_finite_losses_pass():
    check_finite(1, loss=0.0, other=-3.5)
