"""The classifier `acgan-discriminator`: the class head of an ACGAN's discriminator."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import nn

from lesionbench import derive_seed
from lesionbench.torchkit.classifying import TorchPredictor
from lesionbench.torchkit.gan import check_weights, train
from lesionbench.torchkit.tensors import resized, to_tensor
from lesionbench.torchkit.training import batches, torch_session
from lesionbench_acgan.networks import Blueprint, ClassHead
from lesionbench_acgan.pair import Pair, Real

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench import RunContext, TrainingSet
    from lesionbench_acgan import AcganDiscriminator
    from lesionbench_acgan.pair import Batch

SETTLING = 100  # batches of real images, at most, used for batch norm's final statistics

log = logging.getLogger("lesionbench")


def fit_discriminator(settings: AcganDiscriminator, training_set: TrainingSet, context: RunContext) -> TorchPredictor:
    """A predictor: softmax over the discriminator's class logits after the last step.

    Learns from real and synthetic images in the proportions of the training set, like other classifiers; the GAN treats
    all of them as real. Raises TrainingDiverged.
    """
    height, width, channels = training_set.real.shape
    if (height, width) != (settings.size, settings.size):
        log.info("acgan-discriminator resizes images of %dx%d to %dx%d pixels", height, width, *(settings.size,) * 2)
    plan = Blueprint.of(settings, channels, len(training_set.classes))
    with torch_session(context.seed, context.device):
        real = _real(settings, training_set, context)
        pair = Pair(settings, plan, real, derive_seed("acgan-discriminator", context.seed), context)
        train(pair.step, settings.steps, context, pair.owned)
        _settle(pair.discriminator, islice(real, min(settings.steps, SETTLING)))
        check_weights(pair.discriminator, settings.steps)
    return TorchPredictor(ClassHead(pair.discriminator), plan.classes, channels, settings.size, context.device)


def load_discriminator(settings: AcganDiscriminator, folder: Path) -> TorchPredictor:
    """The predictor that was saved in this folder."""

    def network(channels: int, classes: int) -> ClassHead:
        return ClassHead(Blueprint.of(settings, channels, classes).discriminator())

    return TorchPredictor.load(folder, network, settings.size)


def _real(settings: AcganDiscriminator, training_set: TrainingSet, context: RunContext) -> Real:
    """Endless batches of the training set, changed on the fly if the training set says so."""
    images, labels = training_set.all_images()
    seed = derive_seed("acgan-discriminator batches", context.seed)
    if training_set.on_the_fly is None:
        order = batches(len(images), settings.batch_size, seed, context.device)
        return Real.unchanged(order, images, labels, settings.size, context.device)
    order = batches(len(images), settings.batch_size, seed)  # on the CPU, where images are changed

    def take(positions: torch.Tensor) -> Batch:
        chosen = positions.numpy()
        seed_of_batch = derive_seed("acgan-discriminator on the fly", context.seed, order.taken)
        changed = training_set.changed(images[chosen], seed_of_batch)
        pixels = to_tensor(resized(changed, settings.size), context.device)
        return pixels, torch.tensor(labels[chosen], device=context.device)

    return Real(order, take)


@torch.no_grad()
def _settle(discriminator: nn.Module, real: Iterator[Batch]) -> None:
    """Set batch norm's running statistics to their mean over these batches of real images.

    During training, the statistics mix two parts of synthetic images with one part of real ones, but the images to
    classify are real.
    """
    discriminator.eval()  # no dropout, as in classification
    for norm in (module for module in discriminator.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    for images, _ in real:
        discriminator(images)
