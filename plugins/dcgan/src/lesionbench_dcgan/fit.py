"""Training one class, joining all classes to a sampler, and the pictures that a fit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench import derive_seed
from lesionbench.pictures import file_stems, save_comparisons, save_curves, save_rows
from lesionbench.torchkit.gan import picture_steps, train
from lesionbench.torchkit.needs import log_resizing, refuse_empty_classes
from lesionbench.torchkit.resuming import fitted_part, of_fitted_part
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan.networks import ARCHITECTURES
from lesionbench_dcgan.pair import Pair
from lesionbench_dcgan.sampler import DcganSampler
from lesionbench_dcgan.stack import Stack, curves_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench import FittedPart, Images, LabelledImages, RunContext
    from lesionbench_dcgan import Dcgan


def fit_class(settings: Dcgan, images: LabelledImages, label: int, context: RunContext) -> FittedPart:
    """The generator of one class, trained on that class alone, and its losses.

    Writes samples_CLASS.png, with samples after several steps, into the context's folder.
    Raises InputError if any class has no images, and TrainingDiverged.
    """
    refuse_empty_classes("dcgan", images)
    if label == 0:
        log_resizing("dcgan", images.shape, ARCHITECTURES[settings.architecture].size)
    steps = settings.steps
    with torch_session(context.seed, context.device):
        pair = _pair(settings, images, label, context)
        history = train(pair.step, steps, context, pair.owned, picture_steps(steps), lambda _: pair.sketch())
        state = pair.weights(steps)
    _save_sketches(history.looks, file_stems(images.classes)[label], context)
    return fitted_part((state, history.curves))


def fit_stacked(settings: Dcgan, images: LabelledImages, context: RunContext) -> list[FittedPart]:
    """What `fit_class` returns and writes for every class, with the networks of all classes trained at once."""
    refuse_empty_classes("dcgan", images)
    log_resizing("dcgan", images.shape, ARCHITECTURES[settings.architecture].size)
    classes, steps = images.classes, settings.steps
    with torch_session(context.seed, context.device):
        pairs = [_pair(settings, images, label, context) for label in range(len(classes))]
        stack = Stack(settings, dict(zip(classes, pairs, strict=True)))
        history = train(stack.step, steps, context, stack.owned, picture_steps(steps), lambda _: stack.sketches())
        states = [pair.weights(steps, f" of {name}") for name, pair in stack.pairs.items()]
    for label, stem in enumerate(file_stems(classes)):
        _save_sketches({step: of_all[label] for step, of_all in history.looks.items()}, stem, context)
    return [fitted_part((state, curves_of(name, history))) for name, state in zip(classes, states, strict=True)]


def _pair(settings: Dcgan, images: LabelledImages, label: int, context: RunContext) -> Pair:
    """The untrained networks of one class, with the images and the random numbers that they learn from."""
    return Pair(settings, images.of_class(label), derive_seed("dcgan fit", context.seed, label), context)


def _save_sketches(looks: dict[int, Images], stem: str, context: RunContext) -> None:
    names = [f"step {step}" for step in looks]
    save_rows(context.folder / f"samples_{stem}.png", list(looks.values()), names)


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
