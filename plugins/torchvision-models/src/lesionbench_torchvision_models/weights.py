"""Pretrained weights from a local file: read without running code, and refused if they do not fit the network."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lesionbench import SettingsError
from lesionbench_torchvision_models.networks import head_of, make_network

if TYPE_CHECKING:
    from pathlib import Path

    from lesionbench_torchvision_models import TorchvisionClassifier

PICKLE_START = b"\x80"  # the first byte of files written by torch before 1.6, which are no zip archives
SAVE_AGAIN = "save the tensors alone: torch.save(model.state_dict(), FILE)"
COUNTER = "num_batches_tracked"  # of batch norm; files of older versions lack it, and it is not used here
# DenseNet's published files say `norm.1.weight` where the network says `norm1.weight`.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def check_weights(settings: TorchvisionClassifier, path: Path) -> None:
    """Raise SettingsError if the file's tensors do not fit the network of these settings; keeps no weights."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    _check_once(settings, path.absolute(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _check_once(settings: TorchvisionClassifier, path: Path, size: int, changed: int) -> None:  # noqa: ARG001  # as it was
    with torch.device("meta"):  # only names and shapes
        network = make_network(settings, outputs=1)
    _fitting(network, settings, path)


def load_weights(network: nn.Module, settings: TorchvisionClassifier, path: Path) -> None:
    """Load the file's tensors into the network, except those of the head if its shape differs.

    Raises SettingsError if the file cannot be read, or if any other tensor is missing, unknown or of another shape.
    """
    network.load_state_dict(_fitting(network, settings, path), strict=False)


def _fitting(network: nn.Module, settings: TorchvisionClassifier, path: Path) -> dict[str, Tensor]:
    """The file's tensors that go into this network, by the network's names; raises SettingsError."""
    wanted = network.state_dict()
    found = {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in read_tensors(path).items()}
    head = head_of(settings)
    if _shapes(wanted, head) != _shapes(found, head):
        wanted, found = ({n: t for n, t in tensors.items() if not n.startswith(head)} for tensors in (wanted, found))
    problems = _differences(wanted, found)
    if problems:
        raise SettingsError(
            f"the weights in {path} do not fit {settings.name}: {'; '.join(problems)}; "
            f"give weights=FILE with those of torchvision's {settings.name}"
        )
    return found


def _shapes(tensors: dict[str, Tensor], start: str) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items() if name.startswith(start)}


def _differences(wanted: dict[str, Tensor], found: dict[str, Tensor]) -> list[str]:
    """What is wrong with the tensors, with an example of each problem; empty if they fit."""
    missing = [name for name in wanted if name not in found and not name.endswith(COUNTER)]
    foreign = [name for name in found if name not in wanted]
    other = [name for name in wanted if name in found and wanted[name].shape != found[name].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} tensors are missing, such as {missing[0]}")
    if foreign:
        problems.append(f"{len(foreign)} are not the network's, such as {foreign[0]}")
    if other:
        shapes = ["x".join(map(str, tensors[other[0]].shape)) for tensors in (found, wanted)]
        problems.append(f"{len(other)} have another shape, such as {other[0]}: {shapes[0]}, not {shapes[1]}")
    return problems


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a .safetensors file or a file of torch.save, by name, on the CPU; runs no code in it.

    Raises SettingsError if the file is missing, damaged, of another kind, or holds anything but tensors.
    """
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _torch_content(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    except SafetensorError as error:
        raise SettingsError(f"{path} is no safetensors file ({error}); give weights=FILE with another") from None
    if not isinstance(content, dict) or not content or not all(isinstance(one, Tensor) for one in content.values()):
        holds = (
            f"holds {', '.join(map(str, list(content)[:4]))}" if isinstance(content, dict) else "holds no dictionary"
        )
        raise SettingsError(f"{path} must hold tensors by name and nothing else, but {holds}; {SAVE_AGAIN}")
    return content


def _torch_content(path: Path) -> Any:
    """The content of a file of `torch.save`: tensors and plain containers only; raises SettingsError."""
    with path.open("rb") as file:
        start = file.read(1)
    if start != PICKLE_START and not zipfile.is_zipfile(path):
        raise SettingsError(
            f"{path} is neither a whole file of torch.save nor .safetensors; "
            f"give weights=FILE with a state dict of the network"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about odd files; errors are reported below
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError:
        raise SettingsError(
            f"{path} holds Python objects, which are not loaded because they can run code; {SAVE_AGAIN}"
        ) from None
    except Exception as error:  # torch raises all kinds of exceptions on a damaged archive
        raise SettingsError(
            f"{path} cannot be loaded, it may be damaged ({type(error).__name__}); copy it again, or {SAVE_AGAIN}"
        ) from None


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"the weights {path} cannot be read ({error.strerror}); give weights=FILE with the path of a local file"
    )
