"""Feature extractors: a network in a local file, or the baseline classifier of a fold."""

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
    """A fold's baseline classifier as an extractor, or the reason why it cannot be one."""
    if predictor is None:
        return f"{name} is not kept in the store; name a network with --features FILE"
    if not isinstance(predictor, Featuring):
        return f"{name} has no features; name a network with --features FILE"
    return Extractor(name, predictor.features)


def file_extractor(path: Path) -> Extractor:
    """The network in a file as an extractor: torch.export's (.pt2) or TorchScript, run on the CPU.

    Its input is float32 (N, 3, H, W) in 0..1, for any N; a grey image is repeated in the three channels. Its output is
    (N, D, ...), averaged over the axes after D, such as height and width. Raises SettingsError when the file is missing
    or holds no such network; the extractor raises it when the network fails on the images or returns something else.
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
                warnings.simplefilter("ignore", FutureWarning)  # deprecated, but many networks are kept in it
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
    except Exception as error:  # a network of unknown origin may raise anything
        raise SettingsError(
            f"the network in {path} is given float32 {planes.shape} in 0..1, but fails: {_short(error)}"
        ) from None
    if not isinstance(output, torch.Tensor) or output.ndim < 2 or len(output) != len(images):
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise SettingsError(
            f"the network in {path} must return one row for each image, here ({len(images)}, D, ...), not {shape}"
        )
    features: NDArray[np.float64] = output.double().flatten(2).mean(2).numpy() if output.ndim > 2 else _plain(output)
    if not np.isfinite(features).all():
        raise SettingsError(f"the network in {path} returns features that are not finite; use another network")
    return features


def _plain(output: Any) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = output.double().numpy()
    return rows


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
