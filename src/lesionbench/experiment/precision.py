"""What the processor makes of the precision that networks compute in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesionbench.experiment.machine import computes_in_bf16, has_amx
from lesionbench.experiment.prepare import used_plugins
from lesionbench.experiment.provenance import NO_EFFECT, versions_behind
from lesionbench.pipeline.augmenter import Augmenter

if TYPE_CHECKING:
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.settings import Experiment
    from lesionbench.plugins import Plugins

# Measured with one thread: kth-cnn, dcgan and others with AMX; kth-cnn (474 ms a step, not 45) and dcgan with AVX2.
FASTER = "this processor computes in bf16 (AMX): with precision bf16, networks train 1.4 to 2.4 times faster"
UNTRIED = "this processor has instructions for bf16 (AVX-512): with precision bf16, networks may train faster"
SLOWER = "this processor does not compute in bf16: with precision bf16, networks train ten times slower or more"


def notes_of_precision(prepared: Prepared, plugins: Plugins) -> list[str]:
    """Whether another precision would be faster on this processor; nothing on a GPU, or if no network is trained."""
    in_hardware = computes_in_bf16()
    if prepared.device != "cpu" or in_hardware is None:
        return []
    note = SLOWER if not in_hardware else FASTER if has_amx() else UNTRIED
    due = prepared.experiment.precision == "auto" if in_hardware else prepared.precision == "bf16"
    return [note] if due and _trains_networks(prepared.experiment, plugins) else []


def _trains_networks(experiment: Experiment, plugins: Plugins) -> bool:
    """Whether a plugin of the experiment requires torch."""
    packages = {
        plugins.get("augmenter" if isinstance(plugin, Augmenter) else "classifier", plugin.name).package
        for plugin in used_plugins(experiment, plugins)
    }
    return any("torch" in versions_behind(package, frozenset(NO_EFFECT)) for package in packages)
