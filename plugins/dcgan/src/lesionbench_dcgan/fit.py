"""Training one class, joining all classes to a sampler, and the pictures that a fit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lesionbench import derive_seed
from lesionbench.pictures import IMAGES_PER_ROW, file_stems, save_comparisons, save_curves, save_rows
from lesionbench.torchkit.gan import picture_steps, train
from lesionbench.torchkit.needs import log_resizing, refuse_empty_classes
from lesionbench.torchkit.resuming import fitted_part, of_fitted_part
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan.networks import ARCHITECTURES
from lesionbench_dcgan.pair import Pair
from lesionbench_dcgan.sampler import DcganSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench import FittedPart, LabelledImages, RunContext
    from lesionbench_dcgan import Dcgan


def fit_class(settings: Dcgan, images: LabelledImages, label: int, context: RunContext) -> FittedPart:
    """The generator of one class, trained on that class alone, and its losses.

    Writes samples_CLASS.png, with samples after several steps, into the context's folder.
    Raises InputError if any class has no images, and TrainingDiverged.
    """
    refuse_empty_classes("dcgan", images)
    if label == 0:
        log_resizing("dcgan", images.shape, ARCHITECTURES[settings.architecture].size)
    seed = derive_seed("dcgan fit", context.seed, label)
    steps = settings.steps
    with torch_session(seed, context.device):
        pair = Pair(settings, images.of_class(label), seed, context)
        fixed = pair.architecture.noise(
            IMAGES_PER_ROW, torch.Generator().manual_seed(derive_seed("dcgan sketch", seed))
        )
        history = train(pair.step, steps, context, pair.owned, picture_steps(steps), lambda _: pair.draw(fixed))
        state = pair.weights(steps)
    names = [f"step {step}" for step in history.looks]
    stem = file_stems(images.classes)[label]
    save_rows(context.folder / f"samples_{stem}.png", list(history.looks.values()), names)
    return fitted_part((state, history.curves))


def join(settings: Dcgan, parts: Sequence[FittedPart], images: LabelledImages, context: RunContext) -> DcganSampler:
    """The sampler with the generators of all classes.

    Writes real_and_synthetic_CLASS.png and losses.png into the context's folder.
    """
    states, all_curves = zip(*map(of_fitted_part, parts), strict=True)
    curves = dict(zip(images.classes, all_curves, strict=True))
    points = {name: {loss: list(enumerate(values, 1)) for loss, values in of.items()} for name, of in curves.items()}
    save_curves(context.folder / "losses.png", points)
    sampler = DcganSampler.of(settings.architecture, images.shape, states)
    save_comparisons(context.folder, images, sampler, context.seed)
    return sampler
