"""Networks of all classes trained together, beside the same networks trained one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lesionbench import TrainingDiverged, derive_seed
from lesionbench.testing import a_context, tiny_images
from lesionbench.torchkit.resuming import of_fitted_part
from lesionbench.torchkit.stacking import Stacked
from lesionbench_dcgan import Dcgan, pair
from lesionbench_dcgan.networks import ARCHITECTURES, NOISE
from lesionbench_dcgan.pair import Pair


@pytest.fixture
def float64(monkeypatch):
    """Everything but the losses in float64: in float32, Adam's first step would turn rounding into whole steps."""
    to_tensor = pair.to_tensor
    monkeypatch.setattr(pair, "to_tensor", lambda *given: to_tensor(*given).double())
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def learned(parts):
    """Weights and running statistics of each class, and its losses."""
    return [of_fitted_part(part) for part in parts]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"steps": 5, "batch_size": 4}, id="kth"),
        pytest.param(
            {"architecture": "frid-adar", "steps": 1, "batch_size": 2}, id="frid-adar", marks=pytest.mark.slow
        ),
    ],
)
def test_classes_learn_together_what_they_learn_alone(tmp_path, settings):
    gan, images = Dcgan(**settings), tiny_images()
    context = a_context(tmp_path / "alone", 3)
    alone = learned(gan.fit_part(label, images, context) for label in (0, 1))
    together = learned(gan.fit_stacked(images, a_context(tmp_path / "together", 3)))
    for (found, curves), (expected, expected_curves), (other, _) in zip(together, alone, alone[::-1], strict=True):
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)
        assert any((found[name] - other[name]).abs().max() > 0.01 for name in expected if "running" in name)
        assert list(curves) == list(expected_curves)
        for loss, values in expected_curves.items():
            np.testing.assert_allclose(curves[loss], values, atol=1e-5)


def test_a_stack_learns_in_bf16_with_float32_weights(tmp_path):
    context = replace(a_context(tmp_path), precision="bf16")
    for state, curves in learned(Dcgan(steps=2, batch_size=2).fit_stacked(tiny_images(), context)):
        assert {torch.float32, torch.int64} == {tensor.dtype for tensor in state.values()}
        assert np.isfinite(curves["generator_loss"]).all()


@pytest.mark.parametrize("architecture", ["kth", pytest.param("frid-adar", marks=pytest.mark.slow)])
def test_a_stack_computes_in_the_types_of_a_single_network(architecture):
    make = ARCHITECTURES[architecture].generator
    networks, noise = [make(1), make(1)], torch.randn(2, 4, NOISE)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        expected = torch.stack([network(own) for network, own in zip(networks, noise, strict=True)])
        found = Stacked(networks)(noise)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert (found - expected).abs().mean() < 0.01


def test_a_class_that_diverges_is_named(tmp_path, monkeypatch):
    next_batch = Pair.next_batch

    def broken(self):
        real, noise = next_batch(self)
        return (real.log() if self.seed == derive_seed("dcgan fit", 0, 1) else real), noise

    monkeypatch.setattr(Pair, "next_batch", broken)
    with pytest.raises(TrainingDiverged, match=r"'generator_loss of class-1' must stay finite.* at step 1"):
        Dcgan(steps=2, batch_size=2).fit_stacked(tiny_images(), a_context(tmp_path))
