"""The machine that a fit ran on, in one line: same software on another processor may round differently."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lesionbench.pipeline.context import Device


def machine(device: Device) -> str:
    """System, processor, Python, threads and GPU of this process; never its name."""
    count = _threads()
    found = [
        f"{platform.system()} {platform.machine()}",
        processor(),
        f"{platform.python_implementation()} {platform.python_version()}",
        f"{count} thread" + "s" * (count != 1),
        gpu(device) or "",
    ]
    return ", ".join(part for part in found if part)


@cache
def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return " ".join(next(names, platform.machine()).split())


def gpu(device: Device) -> str | None:
    """The name of the GPU here that networks are trained on, or None; who starts a run on a cluster may have none."""
    if device != "cuda":
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _threads() -> int:
    """How many threads a fit of this process has: torch's number, or the one that numerical libraries start with."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else os.cpu_count() or 1
