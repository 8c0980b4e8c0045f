"""The comparison of precisions is a benchmark; here only that bf16 is emulated rightly and that the script runs."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

FOLDER = Path(__file__).parent.parent / "benchmarks" / "precision"
HALF_A_BIT = 2**-8 * (1 + 1e-3)  # of a bfloat16 number, relative to it; sums are in float32
LAYERS = {
    "convolution": (nn.Conv2d(3, 8, 4, 2, 1), (4, 3, 16, 16)),
    "channels last": (nn.Conv2d(8, 16, 3).to(memory_format=torch.channels_last), (4, 8, 9, 9)),
    "transposed convolution": (nn.ConvTranspose2d(8, 4, 4, 2, 1), (4, 8, 8, 8)),
    "linear": (nn.Linear(64, 10), (32, 64)),
    "linear without bias": (nn.Linear(64, 10, bias=False), (32, 64)),
}


@pytest.fixture
def emulated(monkeypatch):
    """The module `emulated`, found as by the script beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import emulated

    yield emulated
    del sys.modules["emulated"]


def passed(layer, images, by):
    """What a layer gives in bf16, and the gradients of its input and weights where that of the result is `by`."""
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(images)
    assert found.dtype == torch.bfloat16
    return [found.detach(), *torch.autograd.grad(found, [images, *layer.parameters()], by)]


def exact(layer, images, by):
    """The same in float64, from the numbers as bf16 has them."""
    whole = copy.deepcopy(layer).bfloat16().double()
    images = images.bfloat16().double().requires_grad_()
    found = whole(images)
    return [found.detach(), *torch.autograd.grad(found, [images, *whole.parameters()], by.double())]


@pytest.mark.parametrize("name", LAYERS)
def test_emulated_layers_and_their_gradients_are_exact_to_the_last_bit(emulated, name):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    images = torch.randn(shape)
    by = torch.randn(layer(images).shape).bfloat16()

    with emulated.EmulatedBf16():
        found = passed(layer, images, by)

    for one, other in zip(found, exact(layer, images, by), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=HALF_A_BIT, atol=1e-6 * float(other.abs().max()))


# Without instructions for bf16, torch rounds each window of a transposed convolution before it adds them up.
@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"transposed convolution"}))
def test_torchs_own_layers_in_bf16_give_the_same_but_for_the_last_bit(emulated, name):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    images = torch.randn(shape)

    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        native = layer(images)
        with emulated.EmulatedBf16():
            found = layer(images)

    torch.testing.assert_close(found, native, rtol=2 * HALF_A_BIT, atol=1e-6 * float(native.abs().max()))
    assert (found == native).float().mean() > 0.9


def test_emulated_sums_are_rounded_once(emulated):
    torch.manual_seed(0)
    one, other = torch.randn(64, 4096).bfloat16(), torch.randn(4096, 64).bfloat16()

    with emulated.EmulatedBf16():
        found = one @ other

    exact = one.double() @ other.double()
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), exact, rtol=HALF_A_BIT, atol=1e-3)


def test_other_types_and_other_operations_are_left_alone(emulated):
    torch.manual_seed(0)
    numbers = torch.randn(32, 32)

    with emulated.EmulatedBf16():
        assert torch.equal(numbers @ numbers, torch.mm(numbers, numbers))
        assert torch.equal(numbers.bfloat16().relu(), numbers.relu().bfloat16())


@pytest.mark.slow
def test_the_comparison_runs_and_tabulates(tmp_path):
    script = [sys.executable, FOLDER / "compare.py"]
    for what in ("fp32", "bf16"):
        subprocess.run([*script, what, tmp_path, "--quick", "--repeats", "2"], check=True, timeout=300)

    done = subprocess.run([*script, "table", tmp_path], check=True, timeout=300, capture_output=True, text=True)

    assert "| real images alone | auc |" in done.stdout
    assert "| mean of the arms | 2 |" in done.stdout
    assert len((tmp_path / "measured.csv").read_text().splitlines()) == 1 + 3 * 2 * 2
