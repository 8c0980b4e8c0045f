"""Training a network to tell classes apart, and scoring images with it.

A network gives K logits for K classes (softmax), or one for two classes (the sigmoid is the second's probability).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lesionbench.pipeline.context import derive_seed
from lesionbench.torchkit.precision import autocast
from lesionbench.torchkit.sampling import load_networks, restored_network, save_networks
from lesionbench.torchkit.tensors import resized, to_tensor
from lesionbench.torchkit.training import batches, check_finite, torch_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.optim import Optimizer

    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, Labels, Scores
    from lesionbench.pipeline.training_set import TrainingSet

REPORT_EVERY = 25  # steps; the loss is fetched only then, because fetching makes a GPU wait
CHUNK = 64  # images in every forward pass that scores
FEATURED_AT_ONCE = 16 * CHUNK  # images made into tensors at a time where features are asked for


@dataclass(frozen=True)
class Schedule:
    """How a classifier trains: optimizer steps, images a step, and steps between two looks at the validation loss."""

    steps: int
    batch_size: int
    evaluate_every: int


@dataclass(frozen=True)
class Examples:
    """Images and labels as tensors on the device: float32 (N, C, H, W) in [-1, 1] and int64 (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: Images, labels: Labels, size: int, device: str) -> Examples:
        """The same examples at size x size, on the device."""
        return cls(to_tensor(resized(images, size), device), torch.from_numpy(np.array(labels)).to(device))

    def take(self, chosen: Tensor, seed: int) -> Examples:
        """The examples at these positions, int64 (n,), as they are: nothing here is random."""
        chosen = chosen.to(self.labels.device)
        return Examples(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class ChangingExamples:
    """A training set whose batches are changed on the fly, at the images' own size and before they are resized."""

    train: TrainingSet
    images: Images
    labels: Labels
    size: int
    device: str

    def take(self, chosen: Tensor, seed: int) -> Examples:
        """The examples at these positions, int64 (n,), changed at random by this seed."""
        positions = chosen.numpy()
        changed = self.train.changed(self.images[positions], seed)
        return Examples.of(changed, self.labels[positions], self.size, self.device)


class TorchPredictor:
    """A trained network that scores images of any height and width, resized to size x size."""

    def __init__(self, network: nn.Module, classes: int, channels: int, size: int, device: str) -> None:
        self.network = network
        self.classes = classes
        self.channels = channels
        self.size = size
        self.device = device

    def predict(self, images: Images) -> Scores:
        """Class probabilities, float64 (N, K), rows summing to 1; each image scored by itself."""
        if not len(images):
            return np.zeros((0, self.classes))
        with torch_session(0, self.device):  # nothing here is random: the session brings one thread and determinism
            tensor = to_tensor(resized(images, self.size), self.device)
            scores: Scores = probabilities(logits_of(self.network, tensor)).cpu().numpy()
        return scores

    def features(self, images: Images) -> NDArray[np.float64]:
        """What the network's last dense layer is given, float64 (N, D), N > 0; each image by itself."""
        with torch_session(0, self.device), last_dense_inputs(self.network) as seen:
            for start in range(0, len(images), FEATURED_AT_ONCE):
                some = resized(images[start : start + FEATURED_AT_ONCE], self.size)
                logits_of(self.network, to_tensor(some, self.device))
        found: NDArray[np.float64] = torch.cat(seen)[: len(images)].double().cpu().numpy()  # without the last blanks
        return found

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, and what the network was made for as JSON."""
        save_networks(folder, {"classes": self.classes, "channels": self.channels}, [self.network])

    @classmethod
    def load(cls, folder: Path, make_network: Callable[[int, int], nn.Module], size: int) -> TorchPredictor:
        """A predictor on the CPU with the weights that `save` wrote.

        make_network: a network of the same layers, from the number of channels and that of classes.
        """
        made_for, (weights,) = load_networks(folder)
        channels, classes = made_for["channels"], made_for["classes"]
        network = restored_network(partial(make_network, channels, classes), weights)
        return cls(network, classes, channels, size, "cpu")


@contextmanager
def last_dense_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """What the last nn.Linear of a network is given in each forward pass until the block ends, (N, D) each."""
    *_, dense = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    seen: list[Tensor] = []
    hook = dense.register_forward_pre_hook(lambda _, given: seen.append(given[0].flatten(1)))
    try:
        yield seen
    finally:
        hook.remove()


def fit_classifier(
    make_network: Callable[[], nn.Module],
    make_optimizer: Callable[[Iterator[nn.Parameter]], Optimizer],
    train: TrainingSet,
    context: RunContext,
    schedule: Schedule,
    size: int,
) -> TorchPredictor:
    """The network with the weights of its best step by validation loss, as a predictor.

    Learns from real and synthetic images together, all at size x size, each batch changed on the fly when the
    training set says so; validates on real ones alone.
    The first weights and the order of the batches come from the context's seed.
    Raises TrainingDiverged when the training or the validation loss stops being finite.
    """
    with torch_session(context.seed, context.device):
        network = make_network()  # made on the CPU, so that every device starts from the same weights
        network.to(device=context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stub
        optimizer = make_optimizer(network.parameters())
        examples = _examples(train, size, context.device)
        validation = Examples.of(train.validation.images, train.validation.labels, size, context.device)
        _train(network, optimizer, examples, validation, context, schedule)
    return TorchPredictor(network, len(train.classes), train.real.shape[2], size, context.device)


def _examples(train: TrainingSet, size: int, device: str) -> Examples | ChangingExamples:
    """Real and synthetic images; made ready once, or batch by batch when something changes them."""
    images, labels = train.all_images()
    if train.on_the_fly is None:
        return Examples.of(images, labels, size, device)
    return ChangingExamples(train, images, labels, size, device)


def _train(
    network: nn.Module,
    optimizer: Optimizer,
    examples: Examples | ChangingExamples,
    validation: Examples,
    context: RunContext,
    schedule: Schedule,
) -> None:
    """Leave the best step's weights in the network."""
    best = _Best()
    losses: list[Tensor] = []
    order = batches(len(examples.labels), schedule.batch_size, context.seed)
    for step in range(1, schedule.steps + 1):
        batch = examples.take(next(order), derive_seed("on the fly", context.seed, step))
        losses.append(_update(network, optimizer, batch, context))
        evaluate = step % schedule.evaluate_every == 0 or step == schedule.steps
        if not evaluate and step % REPORT_EVERY:
            continue
        scalars = {"loss": torch.stack(losses).mean().item()}  # over the steps since the last report
        losses.clear()
        check_finite(step, **scalars)
        if evaluate:
            scalars["validation_loss"] = validation_loss(network, validation)
            check_finite(step, **scalars)
            best.offer(step, scalars["validation_loss"], network)
            scalars["best_step"] = best.step
        context.report(step, schedule.steps, **scalars)
    network.load_state_dict(best.weights)


def _update(network: nn.Module, optimizer: Optimizer, batch: Examples, context: RunContext) -> Tensor:
    """The loss of one batch, float32 (), after one optimizer step on it."""
    network.train()
    with autocast(context):
        logits = network(batch.images)
    loss = class_loss(logits.float(), batch.labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
    return loss.detach()


class _Best:
    """The weights of the step with the lowest validation loss so far; of equals, the earliest."""

    def __init__(self) -> None:
        self.step = 0
        self.loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, loss: float, network: nn.Module) -> None:
        """Keep a copy of the network's weights when this loss is the lowest."""
        if loss < self.loss:
            self.step, self.loss = step, loss
            self.weights = {name: value.clone() for name, value in network.state_dict().items()}


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy, (): binary for logits (N, 1), over K classes for (N, K); labels int64 (N,)."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def validation_loss(network: nn.Module, examples: Examples) -> float:
    """Mean cross-entropy of these examples with the network as it is used for scoring, in nats."""
    return class_loss(logits_of(network, examples.images).double(), examples.labels).item()


def probabilities(logits: Tensor) -> Tensor:
    """Class probabilities, float64 (N, K), rows summing to 1: sigmoid for logits (N, 1), softmax for (N, K)."""
    logits = logits.double()
    if logits.shape[1] == 1:
        return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1)
    return torch.softmax(logits, dim=1)


@torch.inference_mode()
def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """The network's logits in evaluation mode, float32 (N, outputs), N > 0; images float32 (N, C, H, W).

    Every forward pass has CHUNK images, the last one filled up with blanks: kernels are chosen by the
    batch's size, so an image's logits could otherwise differ in the last bits with its number of neighbours.
    """
    network.eval()
    chunks = []
    for chunk in torch.split(images, CHUNK):
        blanks = chunk.new_zeros((CHUNK - len(chunk), *chunk.shape[1:]))
        full = torch.cat([chunk, blanks]).contiguous(memory_format=torch.channels_last)
        chunks.append(network(full)[: len(chunk)])
    return torch.cat(chunks)
