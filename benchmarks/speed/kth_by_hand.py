"""The reference of the whole experiment: the KTH report's arms one after the other, in one script.

    python kth_by_hand.py IMAGES STEPS_OF_GANS STEPS_OF_CLASSIFIERS SEEDS

IMAGES has the folders train, validation and test. For each seed: a DCGAN for each class, 480 images of each as PNG
files, and the classifier on real images alone, with 120 and with 480 of them; it prints the test AUC of each.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import tutorial
from sklearn.metrics import recall_score, roc_auc_score
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.utils import save_image

DOSES = (0, 120, 480)
AT_ONCE = 60  # images that a generator draws at a time


def main(images: Path, gan_steps: int, classifier_steps: int, seeds: int) -> None:
    """Train and test every arm."""
    train = tutorial.images_in(images / "train")
    for seed in range(1, seeds + 1):
        torch.manual_seed(seed)
        with TemporaryDirectory() as folder:
            for label, name in enumerate(train.classes):
                own = Subset(train, [i for i, target in enumerate(train.targets) if target == label])
                synthesize(own, gan_steps, Path(folder) / name)
            synthetic = tutorial.images_in(Path(folder))
            for dose in DOSES:
                first = [i for i, (path, _) in enumerate(synthetic.samples) if int(Path(path).stem) < dose]
                auc, recall = arm(ConcatDataset([train, Subset(synthetic, first)]), images, classifier_steps)
                print(f"seed {seed}, {dose} synthetic images of each class: AUC {auc:.3f}, recall {recall:.3f}")


def synthesize(real: Dataset, steps: int, folder: Path) -> None:
    """Train a DCGAN on the images of one class and write its images."""
    folder.mkdir()
    generator, discriminator = tutorial.kth_gan()
    tutorial.train_dcgan(generator, discriminator, tutorial.loader(real, 64), steps)
    generator.eval()
    for start in range(0, max(DOSES), AT_ONCE):
        with torch.no_grad():
            drawn = generator(torch.randn(AT_ONCE, tutorial.NOISE, 1, 1))
        for number, image in enumerate(drawn, start):
            save_image(image, folder / f"{number}.png", normalize=True, value_range=(-1, 1))


def arm(train: Dataset, images: Path, steps: int) -> tuple[float, float]:
    """The AUC and the recall on the test images."""
    validation, test = (
        tutorial.loader(tutorial.images_in(images / part), 64, shuffle=False) for part in ("validation", "test")
    )
    network = tutorial.kth_cnn()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    tutorial.train_classifier(network, optimizer, tutorial.loader(train, 64), validation, steps, every=50)
    logits, labels = tutorial.scored(network, test)
    scores = torch.sigmoid(logits.view(-1))
    return roc_auc_score(labels, scores), recall_score(labels, scores > 0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
