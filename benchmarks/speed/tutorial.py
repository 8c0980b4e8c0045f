"""The reference of the training rows: what one would write after PyTorch's DCGAN and transfer learning tutorials.

PNG files in a folder for each class, torchvision's ImageFolder, a DataLoader with two workers and shuffling, fp32,
torch's own number of threads, plain layers, torch.optim with its defaults, and `.item()` to log the losses.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import chain, islice, pairwise, repeat
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOISE = 100


def images_in(folder: Path, channels: int = 3, size: int | None = None) -> ImageFolder:
    """The images of a folder in [-1, 1], with the number of their class folder as label."""
    steps = [transforms.Resize(size)] if size else []
    steps += [transforms.Grayscale()] if channels == 1 else []
    steps += [transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.5] * channels)]
    return ImageFolder(folder, transforms.Compose(steps))


def loader(images: Dataset, batch_size: int, shuffle: bool = True) -> DataLoader:
    """Batches of images and labels; shuffled anew in every epoch."""
    return DataLoader(images, batch_size=batch_size, shuffle=shuffle, num_workers=2)


def batches(images: DataLoader, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The first batches of as many epochs as they need."""
    return islice(chain.from_iterable(repeat(images)), steps)


def train_dcgan(generator: nn.Module, discriminator: nn.Module, images: DataLoader, steps: int) -> list[tuple]:
    """The losses of every step: first the discriminator learns from real and synthetic images, then the generator."""
    criterion = nn.BCELoss()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    losses = []
    for real, _ in batches(images, steps):
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        discriminator.zero_grad()
        loss_real = criterion(discriminator(real).view(-1), ones)
        loss_real.backward()
        fake = generator(torch.randn(len(real), NOISE, 1, 1))
        loss_fake = criterion(discriminator(fake.detach()).view(-1), zeros)
        loss_fake.backward()
        optimizer_d.step()
        generator.zero_grad()
        loss_g = criterion(discriminator(fake).view(-1), ones)
        loss_g.backward()
        optimizer_g.step()
        losses.append((loss_real.item() + loss_fake.item(), loss_g.item()))
    return losses


def train_acgan(generator: nn.Module, discriminator: nn.Module, images: DataLoader, steps: int) -> list[tuple]:
    """The same with class labels: both networks also learn to get the class right (Odena et al. 2016)."""
    source, classes = nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.999))
    losses = []
    for real, labels in batches(images, steps):
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        discriminator.zero_grad()
        is_real, label = discriminator(real)
        loss_real = source(is_real, ones) + classes(label, labels)
        loss_real.backward()
        fake = generator(torch.rand(len(real), NOISE) * 2 - 1, labels)
        is_real, label = discriminator(fake.detach())
        loss_fake = source(is_real, zeros) + classes(label, labels)
        loss_fake.backward()
        optimizer_d.step()
        generator.zero_grad()
        is_real, label = discriminator(fake)
        loss_g = source(is_real, ones) + classes(label, labels)
        loss_g.backward()
        optimizer_g.step()
        losses.append((loss_real.item() + loss_fake.item(), loss_g.item()))
    return losses


def train_classifier(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: DataLoader,
    validation: DataLoader,
    steps: int,
    every: int,
) -> nn.Module:
    """The trained network, with the weights of its best validation loss; it is validated every `every` steps.

    Its output is one logit an image for two classes, else one for each class.
    """
    best_loss, best_weights = float("inf"), network.state_dict()
    running_loss = 0.0
    for step, (images, labels) in enumerate(batches(train, steps), 1):
        network.train()
        optimizer.zero_grad()
        loss = class_loss(network(images), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if step % every == 0 or step == steps:
            logits, labels = scored(network, validation)
            validation_loss = class_loss(logits, labels).item()
            if validation_loss < best_loss:
                best_loss, best_weights = validation_loss, deepcopy(network.state_dict())
    network.load_state_dict(best_weights)
    return network


@torch.no_grad()
def scored(network: nn.Module, images: DataLoader) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of all images, and their labels."""
    network.eval()
    found = [(network(some), labels) for some, labels in images]
    logits, labels = zip(*found, strict=True)
    return torch.cat(logits), torch.cat(labels)


def class_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy for one logit an image, cross-entropy over the classes for several."""
    if logits.shape[1] == 1:
        return nn.functional.binary_cross_entropy_with_logits(logits.view(-1), labels.float())
    return nn.functional.cross_entropy(logits, labels)


def initialize(layer: nn.Module) -> None:
    """The tutorial's weights: N(0, 0.02), and N(1, 0.02) for batch norm."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)


def kth_gan(channels: int = 3) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of the KTH report, for 32 px."""
    generator = nn.Sequential(
        *(nn.ConvTranspose2d(NOISE, 128, 4, bias=False), nn.BatchNorm2d(128), nn.ReLU(True)),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True)),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(True)),
        *(nn.ConvTranspose2d(32, channels, 4, 2, 1, bias=False), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(channels, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(128, 1, 4, bias=False), nn.Sigmoid()),
    )
    return generator.apply(initialize), discriminator.apply(initialize)


def frid_adar_gan(channels: int = 1) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of Frid-Adar et al. 2018, for 64 px."""
    generator = nn.Sequential(
        *(nn.Flatten(), nn.Linear(NOISE, 4 * 4 * 1024), nn.Unflatten(1, (1024, 4, 4))),
        *(nn.BatchNorm2d(1024), nn.ReLU(True), up(1024, 512), nn.BatchNorm2d(512), nn.ReLU(True)),
        *(up(512, 256), nn.BatchNorm2d(256), nn.ReLU(True), up(256, 128), nn.BatchNorm2d(128), nn.ReLU(True)),
        *(up(128, channels), nn.Tanh()),
    )
    discriminator = nn.Sequential(*strided((channels, 64, 128, 256, 512)), nn.Linear(512 * 4 * 4, 1), nn.Sigmoid())
    return generator.apply(initialize), discriminator.apply(initialize)


def up(before: int, after: int) -> nn.Module:
    """Twice the height and width."""
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


def strided(widths: tuple[int, ...]) -> list[nn.Module]:
    """A discriminator's 5x5 convolutions with stride 2, batch norm after all but the first, then flattened."""
    layers = [nn.Conv2d(widths[0], widths[1], 5, 2, 2), nn.LeakyReLU(0.2, True)]
    for before, after in pairwise(widths[1:]):
        layers += [nn.Conv2d(before, after, 5, 2, 2), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
    return [*layers, nn.Flatten()]


class AcganGenerator(nn.Module):
    """Noise (B, 100) and labels (B,) to images (B, 3, 32, 32); narrow, as the plugin's default."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, 10)
        self.layers = nn.Sequential(
            *(nn.Linear(NOISE + 10, 128 * 4 * 4), nn.Unflatten(1, (128, 4, 4)), nn.BatchNorm2d(128), nn.ReLU(True)),
            *(up(128, 64), nn.BatchNorm2d(64), nn.ReLU(True), up(64, 32), nn.BatchNorm2d(32), nn.ReLU(True)),
            *(up(32, 3), nn.Tanh()),
        )

    def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([noise, self.embedding(labels)], dim=1))


class AcganDiscriminator(nn.Module):
    """Images (B, 3, 32, 32) to the logits of being real (B,) and of the classes (B, K)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*strided((3, 16, 32, 64)))
        self.is_real = nn.Linear(64 * 4 * 4, 1)
        self.label = nn.Linear(64 * 4 * 4, classes)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.layers(images)
        return self.is_real(features).view(-1), self.label(features)


def acgan(classes: int = 2) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of an ACGAN for 32 px."""
    return AcganGenerator(classes).apply(initialize), AcganDiscriminator(classes).apply(initialize)


def kth_cnn() -> nn.Module:
    """The KTH report's classifier for 32 px and two classes."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Conv2d(32, 64, 2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), nn.Dropout(0.25)),
        *(nn.Conv2d(64, 128, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Conv2d(128, 128, 2), nn.ReLU(), nn.Dropout(0.25), nn.Flatten(), nn.Linear(512, 1)),
    )


def frid_adar_cnn() -> nn.Module:
    """Frid-Adar's classifier for 64 px, grey, three classes; it does not subtract the mean image."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(4608, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 3)),
    )
