"""Tasks that tests run in processes of their own, which import them from here."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path


def number_of_process():
    return os.getpid(), os.getppid()


def dirty():
    os.environ["DIRT"] = "1"
    os.chdir("/")
    sys.modules["dirt"] = os
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return traces()


def traces():
    return os.environ.get("DIRT"), str(Path.cwd()), "dirt" in sys.modules, threading.active_count()


def pages_fetched_again():
    """How many pages of memory the system gives for 64 MB that were used before: 16,384, unless they were kept."""
    import resource  # not on Windows

    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(2):
            bytes(bytearray(2**25))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def writes(text):
    print(text)
    os.write(2, b"raw ")
    subprocess.run(["echo", "from another program"], check=True)
    return sys.stdin.read(), os.isatty(0)


def starts_another_and_hangs(noted):
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path(noted).write_text(f"{other.pid} {os.getpid()}")
    ctypes.PyDLL(None).sleep(1000)  # without letting anything else of Python run
