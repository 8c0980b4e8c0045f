"""Training one of the networks."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import torch

from lesionbench.torchkit.classifying import Schedule, TorchPredictor, fit_classifier
from lesionbench.torchkit.optimizers import Adam
from lesionbench_torchvision_models import Densenet121
from lesionbench_torchvision_models.networks import make_network, prepared
from lesionbench_torchvision_models.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from lesionbench import RunContext, TrainingSet
    from lesionbench_torchvision_models import TorchvisionClassifier

log = logging.getLogger("lesionbench")


def fit_network(settings: TorchvisionClassifier, train: TrainingSet, context: RunContext) -> TorchPredictor:
    """A predictor: the network of the step with the lowest validation loss; Adam trains all layers."""
    height, width, _ = train.real.shape
    side = settings.size
    if (height, width) != (side, side):
        log.info("%s resizes images of %dx%d to %dx%d pixels", settings.name, height, width, side, side)
    outputs = 1 if len(train.classes) == 2 else len(train.classes)
    return fit_classifier(
        partial(starting_network, settings, outputs),
        partial(Adam, learning_rate=settings.learning_rate),
        train,
        context,
        Schedule(settings.steps, settings.batch_size, settings.evaluate_every, _memory_format(settings)),
        side,
    )


def _memory_format(settings: TorchvisionClassifier) -> torch.memory_format:
    """The memory format in which the network trains fastest on a CPU in fp32.

    Without channels last, a step of resnet18 takes 0.88 of the time with AVX-512 and the same time with AVX2; of vgg16
    0.94 and of densenet121 1.2 of the time with AVX2.
    """
    return torch.channels_last if isinstance(settings, Densenet121) else torch.contiguous_format


def load_network(settings: TorchvisionClassifier, folder: Path) -> TorchPredictor:
    """The predictor that was saved in this folder."""

    def network(_: int, classes: int) -> nn.Module:  # for any channels: the network converts grey images to colour
        return prepared(settings, make_network(settings, 1 if classes == 2 else classes))

    return TorchPredictor.load(folder, network, settings.size)


def starting_network(settings: TorchvisionClassifier, outputs: int) -> nn.Module:
    """The network before the first step: (N, C, size, size) in [-1, 1] to logits (N, outputs)."""
    network = make_network(settings, outputs)
    if settings.weights is not None:
        load_weights(network, settings, settings.weights)
    return prepared(settings, network)
