"""Feature extractors by name: a local network in a file, or what a fold's baseline classifier learnt."""

from __future__ import annotations

import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.errors import SettingsError, Try
from lesionbench.evidence.images.fidelity_samples import Extractor
from lesionbench.pipeline.classifier import Featuring

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lesionbench.pipeline.classifier import Predictor
    from lesionbench.pipeline.images import Images

    Network = Callable[[Any], Any]

CHUNK = 1 << 22  # bytes of images in a forward pass


def predictor_extractor(name: str, predictor: Predictor | None) -> Extractor | str:
    """A fold's baseline classifier as an extractor, or the reason why it is none."""
    if predictor is None:
        return f"{name} is not kept in the store; name a network with --features FILE"
    if not isinstance(predictor, Featuring):
        return f"{name} has no features; name a network with --features FILE"
    return Extractor(name, predictor.features)


def file_extractor(path: Path) -> Extractor:
    """The network in a file as an extractor: torch.export's (.pt2) or TorchScript, run on the CPU.

    Its input is float32 (N, 3, H, W) in 0..1, any N; grey images are given three times. Its output is (N, D, ...),
    averaged over what follows D, such as the places of a feature map. Raises SettingsError when the file is missing
    or no such network; the extractor does when the network refuses the images or its output is none of this.
    """
    network = _network(path)

    def features(images: Images) -> NDArray[np.float64]:
        step = max(1, CHUNK // images[0].size)
        parts = [_outputs(network, images[start : start + step], path) for start in range(0, len(images), step)]
        return np.concatenate(parts)

    return Extractor(path.name, features)


def _network(path: Path) -> Network:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {name.rpartition("/")[2] for name in archive.namelist()}
    except FileNotFoundError:
        raise SettingsError(
            f"there is no file {path} with a network", Try("name an existing one with {features}")
        ) from None
    except (OSError, zipfile.BadZipFile):
        raise _no_network(path, "it is neither") from None
    exported = "archive_format" in inside
    if not exported and "constants.pkl" not in inside:
        raise _no_network(path, "it holds weights without their network")
    try:
        import torch
    except ImportError:
        raise SettingsError("a network in a file needs torch; install lesionbench[torch]") from None
    try:
        if exported:
            loaded: Network = torch.export.load(path).module()
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the format is old, but many networks lie in it
                loaded = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, KeyError) as error:
        raise _no_network(path, f"it cannot be loaded ({_short(error)})") from None
    return loaded


def _no_network(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"features come from a network saved with torch.export.save (.pt2) or torch.jit.save, but {path} is not: {why}"
    )


def _outputs(network: Network, images: Images, path: Path) -> NDArray[np.float64]:
    """The network's output for some images, float64 (n, D)."""
    import torch

    planes = np.repeat(images.transpose(0, 3, 1, 2), 3 // images.shape[3], axis=1).astype(np.float32) / 255
    try:
        with torch.inference_mode():
            output = network(torch.from_numpy(planes))
    except Exception as error:  # whatever a network of unknown origin raises
        raise SettingsError(
            f"the network in {path} is given float32 {planes.shape} in 0..1, but refuses: {_short(error)}"
        ) from None
    if not isinstance(output, torch.Tensor) or output.ndim < 2 or len(output) != len(images):
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise SettingsError(f"the network in {path} gives one row an image, here ({len(images)}, D, ...), not {shape}")
    features: NDArray[np.float64] = output.double().flatten(2).mean(2).numpy() if output.ndim > 2 else _plain(output)
    if not np.isfinite(features).all():
        raise SettingsError(f"the network in {path} gives features that are no finite numbers; use another network")
    return features


def _plain(output: Any) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = output.double().numpy()
    return rows


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
