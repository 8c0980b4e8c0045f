"""The training of every class, one after the other, and the pictures it leaves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from lesionbench.errors import InputError
from lesionbench.pipeline.context import derive_seed
from lesionbench.report.pictures import file_stems, save_curves, save_rows
from lesionbench.torchkit.gan import Curves, moments, part_of, train
from lesionbench.torchkit.training import torch_session
from lesionbench_dcgan.networks import ARCHITECTURES
from lesionbench_dcgan.pair import Pair
from lesionbench_dcgan.sampler import DcganSampler

if TYPE_CHECKING:
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, LabelledImages
    from lesionbench_dcgan import Dcgan
    from lesionbench_dcgan.sampler import State

COLUMNS = 8  # images in a row of the pictures
COMPARED = 24  # real images, and as many synthetic ones, in the comparison

log = logging.getLogger("lesionbench")


def fit(settings: Dcgan, images: LabelledImages, context: RunContext) -> DcganSampler:
    """A generator for every class, each trained on that class alone.

    Leaves in the context's folder samples_CLASS.png, real_and_synthetic_CLASS.png and losses.png.
    Raises InputError for a class without images, and TrainingDiverged.
    """
    _refuse_empty_classes(images)
    _say_resizing(images.shape, ARCHITECTURES[settings.architecture].size)
    stems = file_stems(images.classes)
    states: list[State] = []
    curves: dict[str, Curves] = {}
    for label, name in enumerate(images.classes):
        state, curves[name] = _fit_class(settings, images, label, context, stems[label])
        states.append(state)
    points = {name: {loss: list(enumerate(values, 1)) for loss, values in of.items()} for name, of in curves.items()}
    save_curves(context.folder / "losses.png", points)
    sampler = DcganSampler.of(settings.architecture, images.shape, states)
    for label, stem in enumerate(stems):
        real = images.of_class(label)
        some = real[np.linspace(0, len(real) - 1, min(len(real), COMPARED)).round().astype(int)]
        drawn = sampler.sample(label, len(some), context.seed)
        rows, names = [*_in_rows(some), *_in_rows(drawn)], ["real"] * len(_in_rows(some))
        save_rows(context.folder / f"real_and_synthetic_{stem}.png", rows, names + ["synthetic"] * len(names))
    return sampler


def _fit_class(
    settings: Dcgan, images: LabelledImages, label: int, context: RunContext, stem: str
) -> tuple[State, Curves]:
    """The generator's weights and the losses of one class; its pictures over the steps are in the folder."""
    seed = derive_seed("dcgan fit", context.seed, label)
    steps = settings.steps
    report = part_of(context.report, label, len(images.classes), label=float(label))
    sketches: dict[int, Images] = {}
    with torch_session(seed, context.device):
        pair = Pair(settings, images.of_class(label), seed, context)
        fixed = pair.architecture.noise(COLUMNS, torch.Generator().manual_seed(derive_seed("dcgan sketch", seed)))

        def sketch(step: int) -> None:
            sketches[step] = pair.draw(fixed)

        curves = train(pair.step, steps, report, moments(steps), sketch)
        state = pair.weights(steps)
    save_rows(context.folder / f"samples_{stem}.png", list(sketches.values()), [f"step {step}" for step in sketches])
    return state, curves


def _refuse_empty_classes(images: LabelledImages) -> None:
    for label, name in enumerate(images.classes):
        if not len(images.of_class(label)):
            raise InputError(
                f"dcgan needs at least 1 training image of every class, but {name!r} has 0; "
                f"add images of it or leave the class out of the dataset"
            )


def _say_resizing(shape: tuple[int, int, int], size: int) -> None:
    height, width, _ = shape
    if (height, width) != (size, size):
        log.info(
            "dcgan learns at %d x %d: the %d x %d training images are resized, and its images back",
            size, size, height, width,
        )  # fmt: skip


def _in_rows(images: Images) -> list[Images]:
    return [images[start : start + COLUMNS] for start in range(0, len(images), COLUMNS)]
