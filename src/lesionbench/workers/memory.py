"""Memory: the peak of one stage of a process, its own and on a GPU, and what is free."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path("/sys/fs/cgroup")
GROUP_FILES = (  # limit, usage, and what of the usage is files: in the second and the first version of control groups
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def restart_peak() -> None:
    """Reset the peaks; except on Linux, that of the process's own memory stays the peak of the whole process."""
    cuda = _used_cuda()
    if cuda is not None:
        cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_megabytes() -> float:
    """The largest resident memory since `restart_peak`, in MiB; 0.0 if the system does not say."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    return 0.0


def gpu_peak_megabytes() -> float | None:
    """The most GPU memory that torch's tensors had since `restart_peak`, in MiB; None if this process uses no GPU."""
    cuda = _used_cuda()
    return None if cuda is None else round(cuda.max_memory_allocated() / 2**20, 1)


def _used_cuda() -> Any:
    """The module torch.cuda if this process has begun to use a GPU, else None; torch is not imported for it."""
    torch: Any = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def free_gigabytes() -> float | None:
    """The memory that is free for new processes, in GB (10^9 bytes); None if the system does not say.

    What the machine has left, or less where a control group around this process, such as a container, allows less.
    """
    found = [_free_of_machine(), *map(_free_of_group, _groups())]
    known = [free for free in found if free is not None]
    return min(known) / 1e9 if known else None


def _free_of_machine() -> int | None:
    lines = _read(Path("/proc/meminfo")).splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _groups() -> list[Path]:
    """The folders of the control groups of this process, from its own up to the root, in both versions."""
    found = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            group = ROOT / controllers / path.lstrip("/")
            found += [group, *(parent for parent in group.parents if parent.is_relative_to(ROOT / controllers))]
    return found


def _free_of_group(group: Path) -> int | None:
    """What a group's limit leaves, with the files that are in memory only because there is room; None without limit."""
    for limit, usage, cached in GROUP_FILES:
        allowed, used = _read(group / limit).strip(), _read(group / usage).strip()
        if allowed.isdecimal() and used.isdecimal():
            statistics = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines() if " " in line)
            return int(allowed) - int(used) + int(statistics.get(cached, 0))
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
