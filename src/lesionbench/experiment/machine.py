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
    return " ".join((_cpuinfo("model name") or platform.processor() or platform.machine()).split())


def computes_in_bf16() -> bool | None:
    """Whether the processor has instructions for bf16 (AMX, AVX-512); None unless it is an x86 under Linux."""
    flags = _cpuinfo("flags")
    return None if flags is None else not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags.split())


def has_amx() -> bool:
    """Whether the processor multiplies matrices of bf16 numbers (AMX)."""
    return "amx_bf16" in (_cpuinfo("flags") or "").split()


def _cpuinfo(field: str) -> str | None:
    """What Linux says about the first processor under this name; None if it says nothing, and on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = (line.partition(":") for line in lines)
    return next((value for name, _, value in found if name.strip() == field), None)


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
