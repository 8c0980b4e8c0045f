"""What a task can change about its process, and what changed: a process that is not as before does no other task."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from lesionbench.workers.keeper import children

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]  # Windows: a process has no limits

OF_DRIVERS = ("cuda", "pt_")  # threads that CUDA and torch start for themselves and keep
KERNEL = ("Umask", "SigBlk", "SigIgn", "SigCgt", "Uid", "Gid", "Groups", "CapEff", "Seccomp", "Cpus_allowed")
TORCH = {  # what torch says in a new process
    "get_default_dtype": "torch.float32",
    "get_num_threads": "1",
    "is_grad_enabled": "True",
    "are_deterministic_algorithms_enabled": "False",
    "is_deterministic_algorithms_warn_only_enabled": "False",
    "get_float32_matmul_precision": "highest",
    "get_default_device": "cpu",
}
CUDNN = {"benchmark": False, "deterministic": False, "allow_tf32": True, "enabled": True}

Functions = dict[str, dict[str, Any]]  # by module, or class in a module, and name


@dataclass(frozen=True)
class ProcessState:
    """The state of this process at one moment, in parts with a name."""

    parts: dict[str, Any]
    functions: Functions

    @classmethod
    def now(cls) -> ProcessState:
        """The state at this moment."""
        return cls({**_of_system(), **_of_python(), **_of_libraries()}, _functions())


def changes(before: ProcessState, after: ProcessState) -> tuple[str, ...]:
    """The names of what is not as before; modules that were imported meanwhile are no change."""
    found = [name for name, value in before.parts.items() if not _same(value, after.parts[name])]
    for owner, functions in before.functions.items():
        now = after.functions.get(owner, {})
        found += [f"{owner}.{name}" for name, value in functions.items() if now.get(name, value) is not value]
    return tuple(found)


def _same(before: Any, after: Any) -> bool:
    try:
        return bool(before == after)
    except Exception:  # whatever an object that a plugin left somewhere raises
        return False


def _of_system() -> dict[str, Any]:
    return {
        "environment variables": dict(os.environ),
        "working folder": _working_folder(),
        "limits": _limits(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "timers": _timers(),
        "open files": _open_files(),
        "threads": _threads(),
        "processes": _processes(),
        "priority": os.nice(0) if hasattr(os, "nice") else 0,
        "rights, masks and cores": _of_kernel(),
        "locale": locale.setlocale(locale.LC_ALL),
    }


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # text, to compare
    except OSError:  # it was removed
        return ""


def _limits() -> dict[str, Any]:
    if resource is None:
        return {}
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {name: resource.getrlimit(getattr(resource, name)) for name in names}


def _timers() -> list[bool]:
    """Whether each of the three timers is running."""
    return [any(signal.getitimer(which)) for which in _TIMERS]


_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]


def stop_timers() -> None:
    """Stop the timers that a task left running, before one interrupts what is not the task's."""
    for which in _TIMERS:
        signal.setitimer(which, 0)


def _open_files() -> dict[str, str]:
    """What each open file descriptor stands for, without those of the GPU's driver."""
    found = {}
    for path in Path("/proc/self/fd").glob("*"):
        try:
            target = str(path.readlink())
        except OSError:  # it was open for this listing
            continue
        if not target.startswith(("/dev/nvidia", "anon_inode:")):
            found[path.name] = target
    return {number: target for number, target in found.items() if int(number) > 2}


def _threads() -> tuple[list[int], Counter[str]]:
    """Python's threads, and the names of all threads as the system sees them, without those of drivers."""
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        try:
            names.append(path.read_text(encoding="utf-8", errors="replace").strip())
        except OSError:  # it ended meanwhile
            continue
    others = Counter(name for name in names if not name.startswith(OF_DRIVERS))
    return sorted(thread.ident or 0 for thread in threading.enumerate()), others


def _processes() -> set[int]:
    """The processes that this one started, and those that were left to its keeper."""
    return {*children(os.getpid()), *children(os.getppid())} - {os.getpid()}


def _of_kernel() -> dict[str, str]:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition(":") for line in lines) if name in KERNEL}


def _of_python() -> dict[str, Any]:
    root = logging.root
    return {
        "sys.path": list(sys.path),
        "sys.argv": list(sys.argv),
        "standard streams": [sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__],
        "hooks": [sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, warnings.showwarning],
        "tracing": [sys.gettrace(), sys.getprofile()],
        "recursion limit": sys.getrecursionlimit(),
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
        "logging": (root.level, list(root.handlers), list(root.filters), root.manager.disable, logging.raiseExceptions),
        "random": random.getstate(),
    }


def _of_libraries() -> dict[str, Any]:
    words = np.random.get_state(legacy=True)
    return {
        "numpy.random": (words[0], words[1].tobytes(), words[2:]),  # type: ignore[index]  # a tuple
        "numpy's errors and printing": (np.geterr(), str(np.get_printoptions())),
        "torch": _of_torch(),
    }


def _of_torch() -> list[str]:
    """What is not in torch as it is in a new process; torch may have been imported meanwhile."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "Generator"):
        return []
    found = [name for name, usual in TORCH.items() if str(getattr(torch, name)()) != usual]
    found += [name for name, usual in CUDNN.items() if getattr(torch.backends.cudnn, name) != usual]
    if not torch.equal(torch.get_rng_state(), torch.Generator().get_state()):
        found.append("torch.random")
    return found


def _functions() -> Functions:
    """The functions and classes in every imported module, and the functions of those classes."""
    found: Functions = {}
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name != "__main__":
            members = _callables(vars(module))
            found[name] = members
            for member in members.values():
                if isinstance(member, type) and getattr(member, "__module__", None) == name:
                    found[f"{name}.{member.__qualname__}"] = _callables(vars(member))
    return found


_CALLABLE = (FunctionType, BuiltinFunctionType, type)


def _callables(members: Any) -> dict[str, Any]:
    return {name: value for name, value in list(members.items()) if isinstance(value, _CALLABLE)}
