"""Frid-Adar's CNN for liver lesions (the 2018 paper's figure 2), and its training."""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lesionbench.torchkit.classifying import Schedule, TorchPredictor, fit_classifier
from lesionbench.torchkit.optimizers import Sgd
from lesionbench.torchkit.tensors import resized
from lesionbench_paper_cnns.dropout import ReluDropout

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import Images, RunContext, TrainingSet
    from lesionbench_paper_cnns import FridAdarCnn

log = logging.getLogger("lesionbench")


def fit_frid_adar_cnn(settings: FridAdarCnn, train: TrainingSet, context: RunContext) -> TorchPredictor:
    """A predictor: the network of the step with the lowest validation loss, trained with SGD and Nesterov momentum."""
    height, width, _ = train.real.shape
    if (height, width) != (settings.size, settings.size):
        log.info("frid-adar-cnn resizes images of %dx%d to %dx%d pixels", height, width, settings.size, settings.size)
    images, _ = train.all_images()
    return fit_classifier(
        partial(frid_adar_network, mean_image(images, settings.size), len(train.classes), settings.dropout),
        partial(Sgd, learning_rate=settings.learning_rate, momentum=settings.momentum),
        train,
        context,
        Schedule(steps_of(settings, len(images)), settings.batch_size, settings.evaluate_every),
        settings.size,
    )


def load_frid_adar_cnn(settings: FridAdarCnn, folder: Path) -> TorchPredictor:
    """The predictor that was saved in this folder."""

    def network(channels: int, classes: int) -> nn.Sequential:
        mean = torch.zeros(channels, settings.size, settings.size)  # a buffer: the saved weights contain it
        return frid_adar_network(mean, classes, settings.dropout)

    return TorchPredictor.load(folder, network, settings.size)


def steps_of(settings: FridAdarCnn, images: int) -> int:
    """The number of optimizer steps: `steps`, or the steps of `epochs` passes over this number of images."""
    if settings.epochs is None:
        return settings.steps
    return settings.epochs * -(-images // settings.batch_size)


def mean_image(images: Images, size: int) -> Tensor:
    """The pixel-wise mean of the images at size x size, in 0..1: float32 (C, size, size)."""
    pixels = resized(images, size)
    mean = pixels.mean(axis=0, dtype="float64") / 255  # (size, size, C)
    return torch.from_numpy(mean).permute(2, 0, 1).float().contiguous()


class Centre(nn.Module):
    """Images in [-1, 1], scaled to [0, 1] minus the mean image, a buffer: float32 (C, size, size)."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, images: Tensor) -> Tensor:
        """The centred images, (N, C, size, size)."""
        return (images + 1) / 2 - self.mean


def frid_adar_network(mean: Tensor, outputs: int, dropout: float) -> nn.Sequential:
    """Figure 2's layers: (N, C, size, size) to logits (N, outputs); 1,273,347 parameters for 1, 64 and 3.

    The figure does not state the padding; only convolutions without padding give its 1.3 million parameters. Pools come
    before their ReLU, which gives the same values and processes a quarter of the input.
    """
    channels, size, _ = mean.shape
    side = (((size - 2) // 2 - 2) // 2 - 2) // 2
    network = nn.Sequential(
        OrderedDict(
            centre=Centre(mean),
            conv1=nn.Conv2d(channels, 32, kernel_size=3),  # (N, 32, 62, 62)
            pool1=nn.MaxPool2d(2),  # (N, 32, 31, 31)
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(32, 64, kernel_size=3),  # (N, 64, 29, 29)
            pool2=nn.MaxPool2d(2),  # (N, 64, 14, 14)
            relu2=nn.ReLU(),
            conv3=nn.Conv2d(64, 128, kernel_size=3),  # (N, 128, 12, 12)
            pool3=nn.MaxPool2d(2),  # (N, 128, 6, 6)
            relu3=nn.ReLU(),
            flatten=nn.Flatten(),  # (N, 4608)
            dense1=nn.Linear(128 * side * side, 256),
            dropout=ReluDropout(dropout),
            dense2=nn.Linear(256, outputs),
        )
    )
    network.apply(_glorot)
    return network


def _glorot(layer: nn.Module) -> None:
    """Draw weights like Keras, in which the paper's network was written: Glorot uniform, biases zero."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
