"""One training step of kth-cnn, ours beside the same layers written plainly; one thread, batch 64."""

import pytest
import torch
from torch import nn

from lesionbench_paper_cnns.kth_cnn import kth_network

BATCH = 64


def plain() -> nn.Module:
    """The report's layers in torch's own modules and memory order."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Conv2d(32, 64, 2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), nn.Dropout(0.25)),
        *(nn.Conv2d(64, 128, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Conv2d(128, 128, 2), nn.ReLU(), nn.Dropout(0.25), nn.Flatten(), nn.Linear(512, 1)),
    )


def ours() -> nn.Module:
    return kth_network(channels=3, outputs=1, dropout=0.25).to(memory_format=torch.channels_last)


@pytest.mark.benchmark(group="kth-cnn step")
@pytest.mark.parametrize("make", [plain, ours])
def test_a_training_step(benchmark, make):
    torch.set_num_threads(1)
    network = make()
    optimizer = torch.optim.Adam(network.parameters())
    images = torch.rand(BATCH, 3, 32, 32)
    if make is ours:
        images = images.contiguous(memory_format=torch.channels_last)

    def step():
        loss = nn.functional.binary_cross_entropy_with_logits(network(images).flatten(), torch.ones(BATCH))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    benchmark.pedantic(step, rounds=40, warmup_rounds=10)
