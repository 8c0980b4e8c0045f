"""Training one GAN for all classes, or one for each class, and the pictures that a fit writes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from lesionbench import derive_seed
from lesionbench.pictures import IMAGES_PER_ROW, file_stems, save_comparisons, save_curves, save_rows
from lesionbench.torchkit.gan import train
from lesionbench.torchkit.needs import log_resizing, refuse_empty_classes
from lesionbench.torchkit.resuming import fitted_part, of_fitted_part
from lesionbench.torchkit.training import torch_session
from lesionbench_progressive_gan.codes import latents
from lesionbench_progressive_gan.networks import Blueprint
from lesionbench_progressive_gan.pair import Pair
from lesionbench_progressive_gan.sampler import ProgressiveSampler
from lesionbench_progressive_gan.schedule import resolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench import FittedPart, Images, LabelledImages, RunContext
    from lesionbench.torchkit.gan import Curves
    from lesionbench.torchkit.sampling import State
    from lesionbench_progressive_gan import ProgressiveGan


POINTS = 250  # in a curve of losses.png


def fit_part(settings: ProgressiveGan, images: LabelledImages, part: int, context: RunContext) -> FittedPart:
    """A generator that has grown to full size, of all classes or of the class with this number, and its losses.

    Writes samples_CLASS.png into the context's folder.
    Raises InputError if any class has no images, and TrainingDiverged.
    """
    refuse_empty_classes("progressive-gan", images)
    if part == 0:
        log_resizing("progressive-gan", images.shape, settings.size)
    plan = _blueprint(settings, images)
    labels = list(range(len(images.classes))) if plan.classes else [part]
    seed = derive_seed("progressive-gan fit", context.seed, part)
    with torch_session(seed, context.device):
        chosen = images.take(np.isin(images.labels, labels))
        pair = Pair(settings, plan, chosen.images, chosen.labels - labels[0], seed, context)
        curves = _train(pair, images, labels, seed)
        return fitted_part((pair.weights(), curves))


def join(
    settings: ProgressiveGan, parts: Sequence[FittedPart], images: LabelledImages, context: RunContext
) -> ProgressiveSampler:
    """The sampler of all generators.

    Writes real_and_synthetic_CLASS.png and losses.png into the context's folder.
    """
    fitted: list[tuple[State, Curves]] = [of_fitted_part(part) for part in parts]
    names = settings.parts(images.classes)
    _save_losses({name: curves for name, (_, curves) in zip(names, fitted, strict=True)}, context)
    sampler = ProgressiveSampler.of(_blueprint(settings, images), images.shape, [state for state, _ in fitted])
    save_comparisons(context.folder, images, sampler, context.seed)
    return sampler


def _blueprint(settings: ProgressiveGan, images: LabelledImages) -> Blueprint:
    """What the networks are built from; one GAN for all classes knows how many there are."""
    classes = len(images.classes) if settings.conditioning == "auxiliary" else 0
    return Blueprint(settings.size, images.shape[2], classes, settings.latent, settings.width, settings.base)


def _train(pair: Pair, images: LabelledImages, labels: list[int], seed: int) -> Curves:
    """Train, and return the losses; writes a picture for each class, drawn from the same latents after each phase."""
    fixed = latents(IMAGES_PER_ROW, pair.plan.latent, torch.Generator().manual_seed(derive_seed("sketch", seed)))
    context = pair.context

    def sketch(_: int) -> list[Images]:
        return [pair.draw(fixed, number) for number in range(len(labels))]

    def report_growth(step: int, total: int, **losses: float) -> None:
        growth = {"resolution": float(resolution(pair.moment.level)), "fade": pair.moment.fade}
        context.report(step, total, **losses, **growth)

    reporting = replace(context, report=report_growth)
    history = train(pair.step, pair.schedule.steps, reporting, pair.owned, pair.schedule.picture_steps(), sketch)
    names = [f"{resolution(pair.schedule.of_step(step).level)} px, {step}" for step in history.looks]
    stems = file_stems(images.classes)
    for number, label in enumerate(labels):
        rows = [images_of[number] for images_of in history.looks.values()]
        save_rows(context.folder / f"samples_{stems[label]}.png", rows, names)
    return history.curves


def _save_losses(curves: dict[str, Curves], context: RunContext) -> None:
    """Write a panel for each GAN, without the discriminator's loss, which is the sum of the others."""
    panels = {
        name: {loss: _thinned(values) for loss, values in losses.items() if loss != "discriminator_loss"}
        for name, losses in curves.items()
    }
    save_curves(context.folder / "losses.png", panels)


def _thinned(values: list[float]) -> list[tuple[int, float]]:
    """About POINTS points, each the mean over the steps since the last: a critic's losses jump from step to step."""
    stretch = max(1, len(values) // POINTS)
    return [(end, float(np.mean(values[end - stretch : end]))) for end in range(stretch, len(values) + 1, stretch)]
