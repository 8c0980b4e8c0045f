"""torchvision's networks with a stem and a head for small images and few classes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchvision import models

from lesionbench_torchvision_models import Densenet121, Resnet18, StemmedClassifier, Vgg16

if TYPE_CHECKING:
    from lesionbench_torchvision_models import TorchvisionClassifier

# Mean and standard deviation of red, green and blue in 0..1, which torchvision's pretrained networks expect.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VGG_MAPS, VGG_DENSE = 512, 512


class Prepare(nn.Module):
    """Prepares images in [-1, 1] for a network: grey becomes three equal channels, scaled as its weights expect."""

    scale: Tensor
    shift: Tensor

    def __init__(self, pretrained: bool) -> None:
        super().__init__()
        mean, deviation = (IMAGENET_MEAN, IMAGENET_DEVIATION) if pretrained else ((0.5,) * 3, (0.5,) * 3)
        self.register_buffer("scale", torch.tensor([0.5 / one for one in deviation])[:, None, None])
        self.register_buffer(
            "shift", torch.tensor([(0.5 - m) / d for m, d in zip(mean, deviation, strict=True)])[:, None, None]
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) to (N, 3, H, W)."""
        return images * self.scale + self.shift  # a single channel broadcasts to three


def prepared(settings: TorchvisionClassifier, network: nn.Module) -> nn.Sequential:
    """The network with `Prepare` in front of it: (N, C, size, size) in [-1, 1] to logits (N, outputs)."""
    return nn.Sequential(OrderedDict(prepare=Prepare(settings.weights is not None), network=network))


def make_network(settings: TorchvisionClassifier, outputs: int) -> nn.Module:
    """The network with random weights and torchvision's parameter names: (N, 3, H, W) to (N, outputs)."""
    if isinstance(settings, Vgg16):
        return _vgg16(settings, outputs)
    assert isinstance(settings, StemmedClassifier)
    if isinstance(settings, Resnet18):
        return _resnet18(settings.has_small_stem, outputs)
    return _densenet121(settings.has_small_stem, outputs)


def head_of(settings: TorchvisionClassifier) -> str:
    """The name prefix of the layers that pretrained weights may lack: the last layer, or vgg16's small head."""
    if isinstance(settings, Vgg16):
        return "classifier.6." if settings.head == "standard" else "classifier."
    return "classifier." if isinstance(settings, Densenet121) else "fc."


def _resnet18(small: bool, outputs: int) -> nn.Module:
    network: nn.Module = models.resnet18(num_classes=outputs)
    if small:
        network.conv1 = _small_conv(64)
        network.maxpool = nn.Identity()
    return network


def _densenet121(small: bool, outputs: int) -> nn.Module:
    network: nn.Module = models.densenet121(num_classes=outputs)
    if small:
        features = network.get_submodule("features")
        features.conv0 = _small_conv(64)
        features.pool0 = nn.Identity()
    return network


def _small_conv(maps: int) -> nn.Conv2d:
    """3x3 with stride 1 instead of 7x7 with stride 2, as the networks' papers use for images of 32 pixels."""
    conv = nn.Conv2d(3, maps, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _vgg16(settings: Vgg16, outputs: int) -> nn.Module:
    """VGG-16; the small head works on the mean of each map, which saves 120 million parameters."""
    if settings.head == "standard":
        standard: nn.Module = models.vgg16(num_classes=outputs)
        return standard
    with torch.device("meta"):  # the unused standard head then takes neither time nor memory
        network: nn.Module = models.vgg16(init_weights=False)
    features = network.get_submodule("features").to_empty(device=torch.get_default_device())
    for layer in features.children():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Sequential(
        nn.Linear(VGG_MAPS, VGG_DENSE), nn.ReLU(), nn.Dropout(0.5), nn.Linear(VGG_DENSE, outputs)
    )
    return network
