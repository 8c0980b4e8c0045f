"""The KTH report's CNN (its appendix), and its training."""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from lesionbench.torchkit.classifying import Schedule, TorchPredictor, fit_classifier
from lesionbench.torchkit.optimizers import Adam
from lesionbench_paper_cnns.dropout import ReluDropout

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import RunContext, TrainingSet
    from lesionbench_paper_cnns import KthCnn

log = logging.getLogger("lesionbench")


def fit_kth_cnn(settings: KthCnn, train: TrainingSet, context: RunContext) -> TorchPredictor:
    """A predictor: the network of the step with the lowest validation loss, trained with Adam."""
    height, width, channels = train.real.shape
    if (height, width) != (settings.size, settings.size):
        log.info("kth-cnn resizes images of %dx%d to %dx%d pixels", height, width, settings.size, settings.size)
    return fit_classifier(
        partial(_network, settings, channels, len(train.classes)),
        partial(Adam, learning_rate=settings.learning_rate),
        train,
        context,
        Schedule(settings.steps, settings.batch_size, settings.evaluate_every),
        settings.size,
    )


def load_kth_cnn(settings: KthCnn, folder: Path) -> TorchPredictor:
    """The predictor that was saved in this folder."""
    return TorchPredictor.load(folder, partial(_network, settings), settings.size)


def _network(settings: KthCnn, channels: int, classes: int) -> nn.Sequential:
    return kth_network(channels, 1 if classes == 2 else classes, settings.dropout, settings.size)


def kth_network(channels: int, outputs: int, dropout: float, size: int = 32) -> nn.Sequential:
    """The appendix's layers: (N, channels, size, size) to logits (N, outputs); 108,225 parameters for 3, 1 and 32.

    The appendix prints output shapes and parameter counts, which allow only one choice of kernels and paddings. It does
    not print the activations: we use ReLU, after the pool and before the dropout, where it gives the same values as
    before the pool and processes a quarter of the input.
    """
    side = _side_before_flatten(size)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, kernel_size=3, padding=1),  # (N, 32, 32, 32)
            pool1=nn.MaxPool2d(2),  # (N, 32, 16, 16)
            dropout1=ReluDropout(dropout),
            conv2=nn.Conv2d(32, 64, kernel_size=2),  # (N, 64, 15, 15)
            pool2=nn.MaxPool2d(2, ceil_mode=True),  # (N, 64, 8, 8)
            dropout2=ReluDropout(dropout),
            conv3=nn.Conv2d(64, 128, kernel_size=2),  # (N, 128, 7, 7)
            pool3=nn.MaxPool2d(2),  # (N, 128, 3, 3)
            dropout3=ReluDropout(dropout),
            conv4=nn.Conv2d(128, 128, kernel_size=2),  # (N, 128, 2, 2)
            dropout4=ReluDropout(dropout),
            flatten=nn.Flatten(),  # (N, 512)
            dense=nn.Linear(128 * side * side, outputs),
        )
    )


def _side_before_flatten(size: int) -> int:
    """Height and width of conv 4's output."""
    after_pool2 = (size // 2 - 1 + 1) // 2  # conv 2 removes one pixel, ceil_mode rounds up
    after_pool3 = (after_pool2 - 1) // 2
    return after_pool3 - 1
