"""The rows of training: images a second of two fits at once, beside a loop as in PyTorch's tutorials.

Only training is timed: both sides have imported everything and done their first steps before.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import tutorial
import tutorial_progressive
from drawn import draw
from fits import Fits, two_fits
from pairs import Cost, Options, Row, Sides
from torch.optim import SGD, Adam
from torch.optim.optimizer import register_optimizer_step_post_hook
from torchvision import models

from lesionbench.workers.local import local_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

GAN = (
    "PyTorch's DCGAN tutorial: ImageFolder of PNG files, DataLoader with two workers, fp32, torch's own number of "
    "threads, Adam, `.item()` of both losses in every step"
)
CLASSIFIER = (
    "PyTorch's transfer learning tutorial: ImageFolder of PNG files, DataLoader with two workers, fp32, torch's own "
    "number of threads, `.item()` of the loss in every step"
)
PROGRESSIVE = (
    "a plain loop with the same widths: upsampling, then a convolution; a convolution, then pooling; weights scaled at "
    "every use and averaged one by one; the gradient penalty in every fourth step, as ours"
)
TRIED_OUT = 2  # steps of each side with --quick
NEVER = "evaluate_every=100000"  # but after the last step, which is not timed


@dataclass(frozen=True)
class Recipe:
    """What is trained in one row: our plugin, and the reference's network.

    spec: of ours, with its number of steps as {steps}.
    steps: timed on each side.  warm: steps before the clock starts.
    reference: from a folder and a number of steps, a function that trains.
    drawn: from the number of images of each class, the dataset that draws them.  classes: how many to use.
    """

    kind: str
    spec: str
    drawn: Callable[[int], str]
    classes: int
    batch_size: int
    steps: int
    reference: Callable[[Path, int], Callable[[], object]]
    warm: int = 3
    states_share: bool = True  # of the matrix rate: where both sides do the same operations


def dcgan_kth(folder: Path, steps: int) -> Callable[[], object]:
    images = tutorial.loader(tutorial.images_in(folder / "train"), 64)
    return partial(tutorial.train_dcgan, *tutorial.kth_gan(), images, steps)


def dcgan_frid_adar(folder: Path, steps: int) -> Callable[[], object]:
    images = tutorial.loader(tutorial.images_in(folder / "train", channels=1), 64)
    return partial(tutorial.train_dcgan, *tutorial.frid_adar_gan(), images, steps)


def acgan(folder: Path, steps: int) -> Callable[[], object]:
    images = tutorial.loader(tutorial.images_in(folder / "train"), 64)
    return partial(tutorial.train_acgan, *tutorial.acgan(), images, steps)


def kth_cnn(folder: Path, steps: int) -> Callable[[], object]:
    network = tutorial.kth_cnn()
    return _classifier(network, Adam(network.parameters(), lr=1e-3), folder, steps)


def frid_adar_cnn(folder: Path, steps: int) -> Callable[[], object]:
    network = tutorial.frid_adar_cnn()
    optimizer = SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    return _classifier(network, optimizer, folder, steps, channels=1)


def resnet18(folder: Path, steps: int) -> Callable[[], object]:
    network = models.resnet18(num_classes=1)
    return _classifier(network, Adam(network.parameters(), lr=1e-3), folder, steps, batch_size=32)


def _classifier(
    network: nn.Module, optimizer: Optimizer, folder: Path, steps: int, channels: int = 3, batch_size: int = 64
) -> Callable[[], object]:
    images = [tutorial.images_in(folder / part, channels) for part in ("train", "validation")]
    train, validation = tutorial.loader(images[0], batch_size), tutorial.loader(images[1], batch_size, shuffle=False)
    return partial(tutorial.train_classifier, network, optimizer, train, validation, steps, every=steps)


def progressive(size: int, folder: Path, steps: int) -> Callable[[], object]:
    networks = tutorial_progressive.generator(size), tutorial_progressive.discriminator(size)
    images = tutorial.loader(tutorial.images_in(folder / "train", size=8 if size == 8 else None), 16)
    return partial(tutorial_progressive.train, *networks, images, steps)


def skin_32(each: int) -> str:
    return f"skin-phantom[train={2 * each},test=2]"


def skin_64(each: int) -> str:
    return f"skin-phantom[train={2 * each},test=2,size=64]"


def skin_16(each: int) -> str:
    return f"skin-phantom[train={2 * each},test=2,size=16]"


def liver_64(each: int) -> str:
    return f"liver-phantom[cysts={each},metastases={each},hemangiomas={each}]"


@contextmanager
def _sides(recipe: Recipe, options: Options) -> Iterator[Sides]:
    steps = TRIED_OUT if options.quick else recipe.steps
    images = (_first(recipe) + steps) * recipe.batch_size  # one epoch of the reference
    with TemporaryDirectory() as name, _fresh_process() as reference, local_workers(2) as workers:
        folder = Path(name)
        validation = recipe.batch_size if recipe.kind == "classifier" else 0  # done once, and not timed
        spec = recipe.drawn(-(-(images + validation) // recipe.classes))
        draw(spec, folder, images, validation, classes=recipe.classes)
        operations = reference.submit(first_steps, recipe, folder).result()
        fits = Fits(recipe.kind, recipe.spec, folder, recipe.batch_size, steps, recipe.warm, operations)
        yield Sides(
            partial(two_fits, fits, options.precision, workers.executor),
            lambda: reference.submit(reference_cost, recipe, folder, steps).result(),
        )


def _fresh_process() -> ProcessPoolExecutor:
    """A new Python process for the reference, in which its DataLoader can fork workers, as it does in any script."""
    usual = (multiprocessing.get_start_method(),)
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start_workers_by, usual)


def _start_workers_by(method: str) -> None:
    multiprocessing.set_start_method(method, force=True)


def _first(recipe: Recipe) -> int:
    """The steps of the reference before the clock starts: until then, its DataLoader's workers have begun."""
    return min(recipe.warm, 3)


def first_steps(recipe: Recipe, folder: Path) -> float | None:
    """The floating-point operations of the reference for an image, from its first steps: what a second one adds."""
    from torch.utils.flop_counter import FlopCounterMode

    if not recipe.states_share:
        recipe.reference(folder, 1)()
        return None
    counted = []
    for steps in (1, 2):  # both validate once
        train = recipe.reference(folder, steps)
        with FlopCounterMode(display=False) as counter:
            train()
        counted.append(counter.get_total_flops())
    return (counted[1] - counted[0]) / recipe.batch_size


def reference_cost(recipe: Recipe, folder: Path, steps: int) -> Cost:
    """What the reference's steps cost after its first few, without the validation that may follow the last.

    Its steps are counted where its optimizers end theirs: a GAN's second one, a classifier's only one.
    """
    optimizers = 2 if recipe.kind == "augmenter" else 1
    noted: list[tuple[float, float]] = []
    train = recipe.reference(folder, _first(recipe) + steps)
    hook = register_optimizer_step_post_hook(lambda *_: noted.append((time.perf_counter(), _processor_seconds())))
    try:
        train()
    finally:
        hook.remove()
    began, ended = noted[optimizers * _first(recipe) - 1], noted[-1]
    return Cost(ended[0] - began[0], ended[1] - began[1], steps * recipe.batch_size)


def _processor_seconds() -> float:
    """Of this process and of the DataLoader's workers that it has now."""
    ticks = 0
    for child in multiprocessing.active_children():
        after_name = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])  # user and system time
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _progressive_row(size: int, steps: int) -> Row:
    """The row of one resolution: the phases before it have no images, or at 8 px, which is never the last, all others.

    A step at 4 px, of which there are then as many, is done before the measured ones.
    """
    ours = f"size={size},final_images=1000000,stable_images=1" if size > 8 else "size=16,final_images=1"
    spec = f"progressive-gan[steps={{steps}},fade_images=1,{ours}]"
    warm = 3 if size > 8 else steps + 4
    reference = partial(progressive, size)
    drawn = {8: skin_16, 16: skin_16, 32: skin_32, 64: skin_64}[size]
    recipe = Recipe("augmenter", spec, drawn, 2, 16, steps, reference, warm, states_share=False)
    return Row(
        f"progressive-{size}", f"progressive GAN, {size} px, batch 16", "images/s", PROGRESSIVE, partial(_sides, recipe)
    )


def _row(name: str, title: str, recipe: Recipe) -> Row:
    says = GAN if recipe.kind == "augmenter" else CLASSIFIER
    return Row(name, title, "images/s", says, partial(_sides, recipe))


ROWS = [
    _row(
        "dcgan-kth",
        "DCGAN of the KTH report, 32 px, batch 64",
        Recipe("augmenter", "dcgan[steps={steps}]", skin_32, 1, 64, 21, dcgan_kth),
    ),
    _row(
        "dcgan-frid-adar",
        "DCGAN of Frid-Adar et al., 64 px, batch 64",
        Recipe("augmenter", "dcgan[architecture=frid-adar,steps={steps}]", liver_64, 1, 64, 2, dcgan_frid_adar, warm=1),
    ),
    _row(
        "acgan",
        "ACGAN, 32 px, batch 64",
        Recipe("augmenter", "acgan[steps={steps}]", skin_32, 2, 64, 32, acgan),
    ),
    _row(
        "kth-cnn",
        "kth-cnn, 32 px, batch 64",
        Recipe("classifier", f"kth-cnn[steps={{steps}},{NEVER}]", skin_32, 2, 64, 32, kth_cnn),
    ),
    _row(
        "frid-adar-cnn",
        "frid-adar-cnn, 64 px, batch 64",
        Recipe("classifier", f"frid-adar-cnn[steps={{steps}},{NEVER}]", liver_64, 3, 64, 8, frid_adar_cnn),
    ),
    _row(
        "resnet18",
        "resnet18, 64 px, batch 32",
        Recipe("classifier", f"resnet18[steps={{steps}},{NEVER}]", skin_64, 2, 32, 12, resnet18),
    ),
    *(_progressive_row(size, steps) for size, steps in ((8, 40), (16, 24), (32, 16), (64, 8))),
]
