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
from lesionbench_acgan.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench import RunContext, TrainingSet
    from lesionbench_acgan import AcganDiscriminator
    from lesionbench_acgan.pair import Batch

SETTLING = 100  # real batches, at most, from which batch norm's statistics are taken in the end

log = logging.getLogger("lesionbench")


def fit_discriminator(settings: AcganDiscriminator, learnt: TrainingSet, context: RunContext) -> TorchPredictor:
    """A predictor: softmax over the discriminator's class logits after the last step.

    Learns from real and synthetic images in the proportions in which they come, as other classifiers do; to the GAN
    both are real. Raises TrainingDiverged.
    """
    height, width, channels = learnt.real.shape
    if (height, width) != (settings.size, settings.size):
        log.info("acgan-discriminator resizes images of %dx%d to %dx%d pixels", height, width, *(settings.size,) * 2)
    plan = Blueprint.of(settings, channels, len(learnt.classes))
    with torch_session(context.seed, context.device):
        real = _real(settings, learnt, context)
        pair = Pair(settings, plan, real, derive_seed("acgan-discriminator", context.seed), context)
        train(pair.step, settings.steps, context.report)
        _settle(pair.discriminator, islice(real, min(settings.steps, SETTLING)))
        check_weights(pair.discriminator, settings.steps)
    return TorchPredictor(ClassHead(pair.discriminator), plan.classes, channels, settings.size, context.device)


def load_discriminator(settings: AcganDiscriminator, folder: Path) -> TorchPredictor:
    """The predictor that was saved in this folder."""

    def network(channels: int, classes: int) -> ClassHead:
        return ClassHead(Blueprint.of(settings, channels, classes).discriminator())

    return TorchPredictor.load(folder, network, settings.size)


def _real(settings: AcganDiscriminator, learnt: TrainingSet, context: RunContext) -> Iterator[Batch]:
    """Batches of the training set, for ever, each changed on the fly where that is asked for."""
    images, labels = learnt.all_images()
    if learnt.on_the_fly is None:
        images = resized(images, settings.size)  # once, not in every step
    order = batches(len(images), settings.batch_size, derive_seed("acgan-discriminator batches", context.seed))
    for step, positions in enumerate(order, 1):
        chosen = positions.numpy()
        batch = images[chosen]
        if learnt.on_the_fly is not None:
            batch = learnt.changed(batch, derive_seed("acgan-discriminator on the fly", context.seed, step))
        pixels = to_tensor(resized(batch, settings.size), context.device)
        yield pixels, torch.tensor(labels[chosen], device=context.device)


@torch.no_grad()
def _settle(discriminator: nn.Module, real: Iterator[Batch]) -> None:
    """Set batch norm's running statistics to their mean over these batches of real images.

    While the GAN learns they are a mixture of two parts synthetic and one part real, and images to be classified
    are real.
    """
    discriminator.eval()  # no dropout, as when it classifies
    for norm in (module for module in discriminator.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    for images, _ in real:
        discriminator(images)
