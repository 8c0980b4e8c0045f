"""Training the classes one after the other, and the pictures that a fit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lesionbench import derive_seed
from lesionbench.pictures import IMAGES_PER_ROW, file_stems, save_comparisons, save_curves, save_rows
from lesionbench.torchkit.gan import Curves, picture_steps, train
from lesionbench.torchkit.needs import log_resizing, refuse_empty_classes
from lesionbench.torchkit.resuming import in_parts
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan.networks import ARCHITECTURES
from lesionbench_dcgan.pair import Pair
from lesionbench_dcgan.sampler import DcganSampler

if TYPE_CHECKING:
    from lesionbench import LabelledImages, RunContext
    from lesionbench.torchkit.sampling import State
    from lesionbench_dcgan import Dcgan


def fit(settings: Dcgan, images: LabelledImages, context: RunContext) -> DcganSampler:
    """A generator for every class, each trained on that class alone.

    Writes samples_CLASS.png, real_and_synthetic_CLASS.png and losses.png into the context's folder.
    Raises InputError if a class has no images, and TrainingDiverged.
    """
    refuse_empty_classes("dcgan", images)
    log_resizing("dcgan", images.shape, ARCHITECTURES[settings.architecture].size)
    stems = file_stems(images.classes)

    def fit_class(label: int, part: RunContext) -> tuple[State, Curves]:
        return _fit_class(settings, images, label, part, stems[label])

    states, all_curves = zip(*in_parts(context, len(stems), settings.steps, fit_class), strict=True)
    curves = dict(zip(images.classes, all_curves, strict=True))
    points = {name: {loss: list(enumerate(values, 1)) for loss, values in of.items()} for name, of in curves.items()}
    save_curves(context.folder / "losses.png", points)
    sampler = DcganSampler.of(settings.architecture, images.shape, states)
    save_comparisons(context.folder, images, sampler, context.seed)
    return sampler


def _fit_class(
    settings: Dcgan, images: LabelledImages, label: int, context: RunContext, stem: str
) -> tuple[State, Curves]:
    """The generator's weights and the losses of one class; writes its samples at several steps into the folder."""
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
    save_rows(context.folder / f"samples_{stem}.png", list(history.looks.values()), names)
    return state, history.curves
