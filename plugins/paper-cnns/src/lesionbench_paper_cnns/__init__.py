"""The classifiers of the papers: `kth-cnn` and `frid-adar-cnn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

from lesionbench import Classifier, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench import Predictor, RunContext, TrainingSet


class KthCnn(Classifier):
    """The KTH report's small CNN: 108,225 parameters for 32x32 colour images of two classes.

    The report gives the layers but nothing about the training; all defaults except `size` are ours.
    """

    name: ClassVar[str] = "kth-cnn"

    steps: int = Field(1500, ge=1, description="optimizer steps")
    batch_size: int = Field(64, ge=1, description="images per step")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's learning rate")
    dropout: float = Field(0.25, ge=0, lt=1, description="fraction of the values dropped after pools 1-3 and conv 4")
    size: int = Field(32, ge=20, description="side of the network's input in pixels; other images are resized")
    evaluate_every: int = Field(50, ge=1, description="steps between evaluations of the validation loss")

    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        from lesionbench_paper_cnns.kth_cnn import fit_kth_cnn  # torch is slow to import

        return fit_kth_cnn(self, train, context)

    def load(self, folder: Path) -> Predictor:
        from lesionbench_paper_cnns.kth_cnn import load_kth_cnn

        return load_kth_cnn(self, folder)


class FridAdarCnn(Classifier):
    """Frid-Adar's CNN of 2018 for liver lesions: 1,273,347 parameters for 64x64 grey images of three classes.

    Layers, SGD with Nesterov momentum, `learning_rate`, `batch_size` and `dropout` are the paper's. It trains for 150
    `epochs`, whatever their length; the number of `steps` is ours.
    """

    name: ClassVar[str] = "frid-adar-cnn"

    steps: int = Field(1500, ge=1, description="optimizer steps, unless epochs is given")
    epochs: int | None = Field(
        None,
        ge=1,
        description="the paper's rule (150): epochs x ceil(images / batch_size) steps; more images train longer",
    )
    batch_size: int = Field(64, ge=1, description="images per step")
    learning_rate: float = Field(1e-3, gt=0, description="the learning rate of SGD")
    momentum: float = Field(0.9, ge=0, lt=1, description="the Nesterov momentum of SGD")
    dropout: float = Field(0.5, ge=0, lt=1, description="fraction of the dense layer's values dropped")
    size: int = Field(64, ge=22, description="side of the network's input in pixels; other images are resized")
    evaluate_every: int = Field(50, ge=1, description="steps between evaluations of the validation loss")

    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        from lesionbench_paper_cnns.frid_adar_cnn import fit_frid_adar_cnn  # torch is slow to import

        return fit_frid_adar_cnn(self, train, context)

    def load(self, folder: Path) -> Predictor:
        from lesionbench_paper_cnns.frid_adar_cnn import load_frid_adar_cnn

        return load_frid_adar_cnn(self, folder)

    def shortened(self, steps: int) -> Self:
        return self.model_copy(update={"steps": steps, "epochs": None})

    @property
    def more_images_train_longer(self) -> bool:
        return self.epochs is not None


@hookimpl
def register_classifiers() -> list[type[Classifier]]:
    """The two classifiers."""
    return [KthCnn, FridAdarCnn]
