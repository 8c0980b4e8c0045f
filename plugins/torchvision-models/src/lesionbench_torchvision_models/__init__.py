"""The classifiers `resnet18`, `vgg16` and `densenet121`: torchvision's networks, from scratch or from local weights."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotations when it runs
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lesionbench import Classifier, hookimpl

if TYPE_CHECKING:
    from lesionbench import Predictor, RunContext, TrainingSet

Stem = Literal["auto", "standard", "small"]
SMALL_BELOW = 64  # pixels; the standard stem reduces the side to a quarter before the first block


class TorchvisionClassifier(Classifier):
    """What the three networks share: their training and their initial weights."""

    steps: int = Field(600, ge=1, description="optimizer steps")
    batch_size: int = Field(32, ge=2, description="images per step")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's learning rate")
    size: int = Field(64, ge=32, description="side of the network's input in pixels; other images are resized")
    evaluate_every: int = Field(50, ge=1, description="steps between evaluations of the validation loss")
    weights: Path | None = Field(
        None, description="a local file of pretrained weights, .pth or .safetensors; unset: random weights"
    )

    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        from lesionbench_torchvision_models.fit import fit_network  # torch is slow to import

        return fit_network(self, train, context)

    def load(self, folder: Path) -> Predictor:
        from lesionbench_torchvision_models.fit import load_network

        return load_network(self, folder)

    def input_files(self) -> list[Path]:
        if self.weights is None:
            return []
        from lesionbench_torchvision_models.weights import check_weights  # torch is slow to import

        check_weights(self, self.weights)
        return [self.weights]


class StemmedClassifier(TorchvisionClassifier):
    """A network whose first layers reduce the image to a quarter of its side, which is too much for small images."""

    stem: Stem = Field(
        "auto",
        description="the first layers: standard (7x7 stride 2, pool), small (3x3, no pool), auto: small below 64 px",
    )

    @property
    def has_small_stem(self) -> bool:
        """Whether to use the small first layers; pretrained weights need the standard ones."""
        if self.stem == "auto":
            return self.weights is None and self.size < SMALL_BELOW
        return self.stem == "small"

    @model_validator(mode="after")
    def _weights_have_the_standard_stem(self) -> Self:
        if self.weights is not None and self.stem == "small":
            raise ValueError("pretrained weights have a 7x7 first layer, so weights go with stem=standard or stem=auto")
        return self


class Resnet18(StemmedClassifier):
    """ResNet-18 (He et al. 2016): 11 million parameters."""

    name: ClassVar[str] = "resnet18"


class Vgg16(TorchvisionClassifier):
    """VGG-16 (Simonyan and Zisserman 2015) without batch norm: 15 million parameters, 134 million with its own head."""

    name: ClassVar[str] = "vgg16"

    learning_rate: float = Field(1e-4, gt=0, description="Adam's learning rate")
    head: Literal["small", "standard"] = Field(
        "small", description="the dense layers: small (mean of each map, 512) or standard (7x7 of each map, 4096, 4096)"
    )


class Densenet121(StemmedClassifier):
    """DenseNet-121 (Huang et al. 2017): 7 million parameters."""

    name: ClassVar[str] = "densenet121"


@hookimpl
def register_classifiers() -> list[type[Classifier]]:
    """The three networks."""
    return [Resnet18, Vgg16, Densenet121]
