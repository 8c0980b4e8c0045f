"""Training a network to tell classes apart, and scoring images with it.

A network returns K logits for K classes (softmax), or one logit for two classes (its sigmoid is the probability of the
second class).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lesionbench.pipeline.context import derive_seed
from lesionbench.torchkit.loop import Losses, every, run_steps
from lesionbench.torchkit.precision import autocast
from lesionbench.torchkit.sampling import load_networks, restored_network, save_networks
from lesionbench.torchkit.tensors import resized, to_tensor
from lesionbench.torchkit.training import batches, check_finite, torch_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images, Labels, Scores
    from lesionbench.pipeline.training_set import TrainingSet
    from lesionbench.torchkit.optimizers import Optimizer
    from lesionbench.torchkit.resuming import Owned

REPORT_EVERY = 25  # steps; losses are fetched only then, because fetching stalls a GPU
CHUNK = 64  # images in every forward pass that scores
FEATURED_AT_ONCE = 16 * CHUNK  # images converted to tensors at a time when features are computed
WHOLE_VECTORS = 64  # a number of float64 values that every processor computes in whole vectors


@dataclass(frozen=True)
class Schedule:
    """How a classifier trains: optimizer steps, images in a batch, and steps between two validations.

    memory_format: of weights and images, the one in which the network trains fastest on a CPU in fp32. In bf16, and on
    a GPU, channels last is the fastest for every network.
    """

    steps: int
    batch_size: int
    evaluate_every: int
    memory_format: torch.memory_format = torch.channels_last


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
        """The examples at these positions, int64 (n,) on the device, unchanged; the seed is not used."""
        return Examples(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class ChangingExamples:
    """A training set whose batches are changed on the fly: at the images' own size, before they are resized."""

    train: TrainingSet
    images: Images
    labels: Labels
    size: int
    device: str

    def take(self, chosen: Tensor, seed: int) -> Examples:
        """The examples at these positions, int64 (n,) on the CPU, changed at random with this seed."""
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
        """Class probabilities, float64 (N, K), rows sum to 1; an image's scores do not depend on the other images."""
        if not len(images):
            return np.zeros((0, self.classes))
        with torch_session(0, self.device):  # nothing is random here: the session is for one thread and determinism
            tensor = to_tensor(resized(images, self.size), self.device)
            scores: Scores = probabilities(logits_of(self.network, tensor)).cpu().numpy()
        return scores

    def features(self, images: Images) -> NDArray[np.float64]:
        """The input of the network's last dense layer, float64 (N, D), N > 0."""
        with torch_session(0, self.device), last_dense_inputs(self.network) as seen:
            for start in range(0, len(images), FEATURED_AT_ONCE):
                some = resized(images[start : start + FEATURED_AT_ONCE], self.size)
                logits_of(self.network, to_tensor(some, self.device))
        found: NDArray[np.float64] = torch.cat(seen)[: len(images)].double().cpu().numpy()  # drops the padding
        return found

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, and the numbers of classes and channels as JSON."""
        save_networks(folder, {"classes": self.classes, "channels": self.channels}, [self.network])

    @classmethod
    def load(cls, folder: Path, make_network: Callable[[int, int], nn.Module], size: int) -> TorchPredictor:
        """A predictor on the CPU with the weights that `save` wrote.

        make_network: builds the network from the number of channels and the number of classes.
        """
        made_for, (weights,) = load_networks(folder)
        channels, classes = made_for["channels"], made_for["classes"]
        network = restored_network(partial(make_network, channels, classes), weights)
        return cls(network, classes, channels, size, "cpu")


@contextmanager
def last_dense_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs of a network's last nn.Linear, (N, D) for every forward pass inside the block."""
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
    """A predictor with the weights of the step that had the lowest validation loss.

    Learns from real and synthetic images at size x size, changed on the fly if the training set says so; validates on
    real images only. The initial weights and the order of the batches derive from the context's seed.
    Raises TrainingDiverged if the training loss or the validation loss stops being finite.
    """
    with torch_session(context.seed, context.device):
        network = make_network()  # built on the CPU, so that all devices start from the same weights
        memory_format = _memory_format(context, schedule)
        network.to(device=context.device, memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs
        optimizer = make_optimizer(network.parameters())
        examples = _examples(train, size, context.device)
        validation = Examples.of(train.validation.images, train.validation.labels, size, context.device)
        _train(network, optimizer, examples, validation, context, schedule)
        network.to(memory_format=torch.channels_last)  # in which images are scored, as after loading
    return TorchPredictor(network, len(train.classes), train.real.shape[2], size, context.device)


def _memory_format(context: RunContext, schedule: Schedule) -> torch.memory_format:
    """The memory format in which the network trains fastest."""
    plain = context.device == "cpu" and context.precision == "fp32"
    return schedule.memory_format if plain else torch.channels_last


def _examples(train: TrainingSet, size: int, device: str) -> Examples | ChangingExamples:
    """Real and synthetic images as tensors: converted once, or batch by batch if they change on the fly."""
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
    """Train the network, from its last checkpoint if there is one, and leave the weights of the best step in it."""
    best = _Best()
    memory_format = _memory_format(context, schedule)
    chosen_on = context.device if isinstance(examples, Examples) else "cpu"
    order = batches(len(examples.labels), schedule.batch_size, context.seed, chosen_on)
    validated_at = every(schedule.evaluate_every, schedule.steps)

    def one_step(step: int) -> Losses:
        batch = examples.take(next(order), derive_seed("on the fly", context.seed, step))
        images = batch.images.contiguous(memory_format=memory_format)
        return {"loss": _update(network, optimizer, Examples(images, batch.labels), context)}

    def read(step: int, losses: Losses) -> dict[str, float]:
        scalars = {"loss": losses["loss"].mean().item()}  # over the steps since the last report
        check_finite(step, **scalars)
        if step in validated_at:
            scalars["validation_loss"] = validation_loss(network, validation, context)
            check_finite(step, **scalars)
            best.offer(step, scalars["validation_loss"], network)
            scalars["best_step"] = best.step
        return scalars

    owned: Owned = {"network": network, "optimizer": optimizer, "order": order, "best": best}
    read_at = validated_at | every(REPORT_EVERY, schedule.steps)
    run_steps(one_step, schedule.steps, context, lambda: owned, read_at, read)
    network.load_state_dict(best.weights)


def _update(network: nn.Module, optimizer: Optimizer, batch: Examples, context: RunContext) -> Tensor:
    """Take one optimizer step on a batch, and return the batch's loss before the step, float32 ()."""
    network.train()
    with autocast(context):
        logits = network(batch.images)
    loss = class_loss(logits.float(), batch.labels)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
    return loss.detach()


class _Best:
    """The weights of the step with the lowest validation loss so far, the earliest one on a tie."""

    def __init__(self) -> None:
        self.step = 0
        self.loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, loss: float, network: nn.Module) -> None:
        """Copy the network's weights if this loss is the lowest so far."""
        if loss < self.loss:
            self.step, self.loss = step, loss
            self.weights = {name: value.clone() for name, value in network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Set a state that `state_dict` gave."""
        vars(self).update(state_dict)


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats, (): binary for logits (N, 1), over K classes for (N, K); labels int64 (N,)."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def validation_loss(network: nn.Module, examples: Examples, context: RunContext) -> float:
    """Mean cross-entropy in nats of these examples: the network in evaluation mode and the experiment's precision."""
    with autocast(context):
        logits = logits_of(network, examples.images)
    return class_loss(logits.double(), examples.labels).item()


def probabilities(logits: Tensor) -> Tensor:
    """Class probabilities, float64 (N, K), rows sum to 1: sigmoid for logits (N, 1), softmax for (N, K)."""
    logits = logits.double()
    if logits.shape[1] == 1:
        return torch.cat([_sigmoid(-logits), _sigmoid(logits)], dim=1)
    return torch.softmax(logits, dim=1)


def _sigmoid(logits: Tensor) -> Tensor:
    """The sigmoid of logits (N, 1); an image's value does not depend on how many others there are.

    Without AVX-512, torch computes the last values of an array in another way than the rest, which may change the last
    bit. Zeros are appended, so that these are never an image's.
    """
    padded = torch.nn.functional.pad(logits[:, 0], (0, -len(logits) % WHOLE_VECTORS))
    return torch.sigmoid(padded)[: len(logits), None]


@torch.inference_mode()
def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """The network's logits in evaluation mode, (N, outputs), N > 0; images float32 (N, C, H, W).

    Every forward pass has CHUNK images, the last one padded with blank images: torch chooses kernels by batch size, so
    the last bits of an image's logits could otherwise depend on how many images are scored with it.
    """
    network.eval()
    chunks = []
    for chunk in torch.split(images, CHUNK):
        blanks = chunk.new_zeros((CHUNK - len(chunk), *chunk.shape[1:]))
        full = torch.cat([chunk, blanks]).contiguous(memory_format=torch.channels_last)
        chunks.append(network(full)[: len(chunk)])
    return torch.cat(chunks)
