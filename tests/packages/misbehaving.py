"""A plugin package of one classifier that does harm in every way we know of; the tests install it with the spies."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import ClassVar

import numpy as np

from lesionbench import Classifier, hookimpl

LONG = 10_000_000


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")


class Unpicklable(Exception):
    def __init__(self):
        super().__init__(lambda: None)


def changes_everything():
    os.chdir("/")
    os.umask(0o777)
    os.environ.clear()
    os.environ["OMP_NUM_THREADS"] = "7"
    sys.path.clear()
    random.seed(1)
    np.random.seed(1)
    np.seterr(all="raise")
    np.mean = np.max
    np.ndarray = None
    sys.stdout = None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=time.sleep, args=(1e6,)).start()
    raise ValueError("everything is changed")


def too_much_memory():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.RLIM_INFINITY))
    bytearray(2**40)


def leaves_processes():
    subprocess.Popen(["sleep", "1234"])
    subprocess.run("setsid sleep 1234 & exit", shell=True, check=True)
    raise ValueError("processes are left")


def floods():
    for _ in range(400):
        os.write(1, b"noise " * 20_000)
    raise ValueError("much was printed")


def closes(first, last):
    os.closerange(first, last)
    raise ValueError("files are closed")


def recurses():
    return recurses()


def fails(error):
    raise error


def kills(number):
    os.kill(os.getpid(), number)
    time.sleep(1e6)


def alarms():
    signal.alarm(1)
    time.sleep(1e6)


WAYS = {
    "exit": lambda: sys.exit(0),
    "interrupt": lambda: fails(KeyboardInterrupt),
    "generator": lambda: fails(GeneratorExit),
    "os-exit": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "kill": lambda: kills(signal.SIGKILL),
    "terminate": lambda: kills(signal.SIGTERM),
    "alarm": alarms,
    "memory": too_much_memory,
    "recursion": recurses,
    "unspeakable": lambda: fails(Unspeakable),
    "unpicklable": lambda: fails(Unpicklable),
    "surrogate": lambda: fails(ValueError("a \ud800 alone")),
    "long": lambda: fails(ValueError("x" * LONG)),
    "closes": lambda: closes(0, 3),
    "closes-all": lambda: closes(0, 10_000),
    "floods": floods,
    "changes": changes_everything,
    "processes": leaves_processes,
    "hangs": lambda: time.sleep(1e6),
    "hangs-in-c": lambda: ctypes.PyDLL(None).sleep(10**6),  # nothing else of Python runs meanwhile
    "stops": lambda: kills(signal.SIGSTOP),
}


class Misbehaving(Classifier):
    """Does harm when it is fitted."""

    name: ClassVar[str] = "misbehaving"
    how: str = ""

    def fit(self, train, context):
        WAYS[self.how]()


@hookimpl
def register_classifiers():
    return [Misbehaving]
