"""Pretrained weights from a local file: read without running code, and refused unless they fit."""

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

PICKLE_START = b"\x80"  # the first byte of a file of torch before version 1.6, which is no zip archive
SAVE_AGAIN = "save the tensors alone: torch.save(model.state_dict(), FILE)"
COUNTER = "num_batches_tracked"  # of batch norm; files of older versions lack it, and nothing here reads it
# DenseNet's published files say `norm.1.weight` where the network says `norm1.weight`.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def check_weights(settings: TorchvisionClassifier, path: Path) -> None:
    """Raise SettingsError unless the file's tensors fit the network of these settings; no weights are kept."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    _check_once(settings, path.absolute(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _check_once(settings: TorchvisionClassifier, path: Path, size: int, changed: int) -> None:  # noqa: ARG001  # as it was
    with torch.device("meta"):  # names and shapes alone
        network = make_network(settings, outputs=1)
    _fitting(network, settings, path)


def load_weights(network: nn.Module, settings: TorchvisionClassifier, path: Path) -> None:
    """Fill the network with the file's tensors, all but the head when its shape differs.

    Raises SettingsError when the file cannot be read, or when any other tensor is missing, is left over,
    or has another shape.
    """
    network.load_state_dict(_fitting(network, settings, path), strict=False)


def _fitting(network: nn.Module, settings: TorchvisionClassifier, path: Path) -> dict[str, Tensor]:
    """The file's tensors that this network takes, by its names."""
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
    """What is wrong with the found tensors, with an example each; empty when they fit."""
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
    """The tensors in a .safetensors file or a file of torch.save, by name, on the CPU; no code in it is run.

    Raises SettingsError, one message, when it is missing, is no such file, is damaged, or holds anything else.
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
    """What `torch.save` put into the file, tensors and plain containers only."""
    with path.open("rb") as file:
        start = file.read(1)
    if start != PICKLE_START and not zipfile.is_zipfile(path):
        raise SettingsError(
            f"{path} is neither a whole file of torch.save nor .safetensors; "
            f"give weights=FILE with a state dict of the network"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's about odd files; what matters is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError:
        raise SettingsError(
            f"{path} holds Python objects, which are not loaded because they can run code; {SAVE_AGAIN}"
        ) from None
    except Exception as error:  # torch raises whatever a damaged archive leads it into
        raise SettingsError(
            f"{path} cannot be loaded, it may be damaged ({type(error).__name__}); copy it again, or {SAVE_AGAIN}"
        ) from None


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"the weights {path} cannot be read ({error.strerror}); give weights=FILE with the path of a local file"
    )
