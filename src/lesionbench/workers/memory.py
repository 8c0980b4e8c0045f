"""The peak memory of one stage of a process."""

from __future__ import annotations

from pathlib import Path


def restart_peak() -> None:
    """Reset the peak on Linux; on other systems the peak is that of the whole process."""
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
