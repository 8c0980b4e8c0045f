"""Training the augmenter, and the pictures that a fit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lesionbench import derive_seed
from lesionbench.pictures import IMAGES_PER_ROW, file_stems, save_comparisons, save_curves, save_rows
from lesionbench.torchkit.gan import Curves, picture_steps, train
from lesionbench.torchkit.needs import log_resizing, refuse_empty_classes
from lesionbench.torchkit.training import balanced_batches, torch_session
from lesionbench_acgan.networks import Blueprint, uniform_noise
from lesionbench_acgan.pair import Pair, Real
from lesionbench_acgan.sampler import AcganSampler

if TYPE_CHECKING:
    from lesionbench import Images, LabelledImages, RunContext
    from lesionbench_acgan import Acgan


def fit(settings: Acgan, images: LabelledImages, context: RunContext) -> AcganSampler:
    """A sampler whose generator has learned all classes, each equally often.

    Writes samples_CLASS.png, real_and_synthetic_CLASS.png and losses.png into the context's folder.
    Raises InputError if a class has no images, and TrainingDiverged.
    """
    refuse_empty_classes("acgan", images)
    log_resizing("acgan", images.shape, settings.size)
    seed = derive_seed("acgan fit", context.seed)
    plan = Blueprint.of(settings, images.shape[2], len(images.classes))
    with torch_session(seed, context.device):
        pair = Pair(settings, plan, _real(settings, images, seed, context), seed, context)
        curves = _train(pair, images.classes, settings.steps, seed)
        state = pair.weights(settings.steps)
    _save_losses(curves, context)
    sampler = AcganSampler.of(plan, images.shape, state)
    save_comparisons(context.folder, images, sampler, context.seed)
    return sampler


def _real(settings: Acgan, images: LabelledImages, seed: int, context: RunContext) -> Real:
    """Endless batches of the real images, balanced over the classes."""
    order_seed = derive_seed("acgan batches", seed)
    order = balanced_batches(images.labels, settings.batch_size, order_seed, context.device)
    return Real.unchanged(order, images.images, images.labels, settings.size, context.device)


def _train(pair: Pair, classes: tuple[str, ...], steps: int, seed: int) -> Curves:
    """Train, and return the losses; writes a picture for each class, drawn from the same noise at a few steps."""
    fixed = uniform_noise(IMAGES_PER_ROW, torch.Generator().manual_seed(derive_seed("acgan sketch", seed)))

    def sketch(_: int) -> list[Images]:
        return [pair.draw(fixed, label) for label in range(len(classes))]

    history = train(pair.step, steps, pair.context, pair.owned, picture_steps(steps), sketch)
    names = [f"step {step}" for step in history.looks]
    for label, stem in enumerate(file_stems(classes)):
        rows = [images_of[label] for images_of in history.looks.values()]
        save_rows(pair.context.folder / f"samples_{stem}.png", rows, names)
    return history.curves


def _save_losses(curves: Curves, context: RunContext) -> None:
    points = {name: list(enumerate(values, 1)) for name, values in curves.items()}
    class_losses = {name: points.pop(name) for name in list(points) if name.startswith("class_")}
    save_curves(context.folder / "losses.png", {"source and class": points, "class alone": class_losses})
