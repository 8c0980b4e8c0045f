"""The whole experiment of the KTH report, cut down: one command of ours beside one script, from start to end."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from drawn import draw
from pairs import Cost, Options, Row, Sides, cost_of_command

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAIN, VALIDATION, TEST = 1024, 256, 512
GAN_STEPS, CLASSIFIER_STEPS, SEEDS = 40, 48, 2  # instead of 1,200, 1,500 and 3


@contextmanager
def _sides(options: Options) -> Iterator[Sides]:
    gan, classifier, seeds = (2, 2, 1) if options.quick else (GAN_STEPS, CLASSIFIER_STEPS, SEEDS)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _images(folder)
        plain = (sys.executable, Path(__file__).parent / "kth_by_hand.py", folder / "plain")
        yield Sides(
            lambda: _ours(folder, f"dcgan[steps={gan}]", f"kth-cnn[steps={classifier}]", seeds, options.precision),
            lambda: cost_of_command([*plain, *map(str, (gan, classifier, seeds))], folder),
        )


def _images(folder: Path) -> None:
    """The same images for both: plain/ with three parts, ours/ with train and test, as ours divides them itself."""
    draw(f"skin-phantom[train={TRAIN + VALIDATION + TEST},test=2]", folder / "plain", TRAIN, VALIDATION, TEST)
    for ours, parts in {"train": ("train", "validation"), "test": ("test",)}.items():
        for part in parts:
            for file in sorted((folder / "plain" / part).glob("*/*.png")):
                target = folder / "ours" / ours / file.parent.name / f"{part}{file.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)


def _ours(folder: Path, gan: str, classifier: str, seeds: int, precision: str) -> Cost:
    shutil.rmtree(folder / "o", ignore_errors=True)
    command = [sys.executable, "-m", "lesionbench", "run", "--dataset", "folder[size=32]", "--data", folder / "ours"]
    command += ["--positive-class", "malignant", "--augmenter", gan, "--synthetic", "120,480", "--classifier"]
    command += [classifier, "--seeds", str(seeds), "--precision", precision, "--jobs", "2", "--quiet", "--out", "o"]
    return cost_of_command(command, folder)


SAYS = (
    "one script that trains the same arms one after the other as in the tutorials, writes the synthetic images as PNG "
    "files and prints the AUC of each arm; both from start to end, ours with all tables, pictures and evidence"
)
TITLE = f"the whole KTH experiment, cut down to {GAN_STEPS} and {CLASSIFIER_STEPS} steps and {SEEDS} seeds"
ROWS = [Row("whole-run", TITLE, "s", SAYS, _sides)]
