"""Whether workers have the code, the libraries and the files of this machine, and see its folders."""

from __future__ import annotations

import socket
import sys
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionbench.errors import SettingsError, Try
from lesionbench.experiment.keys import AUGMENTING, CLASSIFYING
from lesionbench.experiment.needs import needs_of
from lesionbench.experiment.prepare import chosen_device, used_plugins
from lesionbench.experiment.provenance import modules_behind, provenance
from lesionbench.pipeline.augmenter import Augmenter
from lesionbench.plugins import installed
from lesionbench.store.addresses import local_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.context import Device
    from lesionbench.plugins import Kind, Plugins
    from lesionbench.workers.executors import Executor

NONE = "none"
MEMORY = "memory://"
SHOWN = 3  # differences that a message names


@dataclass(frozen=True)
class Seen:
    """What a worker is like, as far as results depend on it, and which folders it does not see."""

    where: str  # the machine, and the Python that runs there
    made_with: dict[str, str]  # versions and digests, by what they are of
    unseen: tuple[str, ...] = ()
    has_gpu: bool = True


def check_executor(
    executor: Executor, experiment: Experiment, plugins: Plugins, out: Path, store: str, say: Callable[[str], object]
) -> None:
    """Raise SettingsError, which names what differs, unless tasks can run on every worker that is there.

    The workers must have the versions and the code of this process, and see its folders; these are left as they are.
    """
    if not executor.is_here and store.startswith(MEMORY):
        raise SettingsError(
            f"a store at {store} is in the memory of one process, and workers are others", Try("choose another {store}")
        )
    device = chosen_device(experiment, not executor.is_here)
    executor.check(needs_of(used_plugins(experiment, plugins), device))
    if not executor.is_standing:
        return
    say("asking every worker which versions and folders it has")
    folders = [folder.absolute() for folder in (out, local_folder(store)) if folder is not None]
    shared = local_folder(store) is not None
    with ExitStack() as stack:
        tokens = [stack.enter_context(_token(folder)) for folder in folders] if shared else []
        answers = executor.everywhere(look, experiment, plugins.own, tokens, device)
    here = made_with(experiment, plugins)
    problems = [f"{name}: {problem}" for name, seen in answers.items() for problem in _problems(seen, here)]
    if problems:
        raise SettingsError(
            "\n".join(["every worker must have what this machine has, and see the same folders, but:", *problems])
        )


@contextmanager
def _token(folder: Path) -> Iterator[tuple[str, str]]:
    """A file in a folder, with what is in it; both are gone in the end, and so are folders made for it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".seen-{uuid.uuid4().hex}"
    try:
        token.write_text(token.name, encoding="utf-8")
        yield str(token), token.name
    finally:
        token.unlink(missing_ok=True)
        with suppress(OSError):  # somebody put something there
            for one in missing:
                one.rmdir()


def look(experiment: Experiment, own: bytes, tokens: list[tuple[str, str]], device: Device) -> Seen:
    """What this worker is like."""
    unseen = tuple(str(Path(path).parent) for path, text in tokens if not _is_seen(Path(path), text))
    return Seen(where(), made_with(experiment, installed(own)), unseen, device == "cpu" or _has_gpu())


def where() -> str:
    """The name of this machine, and the Python that runs here."""
    return f"{socket.gethostname()}, {sys.executable}"


def made_with(experiment: Experiment, plugins: Plugins) -> dict[str, str]:
    """Everything here that results of this experiment depend on, by what it is: versions, digests of code and files.

    This is what the keys of results hold about plugins; see `provenance`.
    """
    found = {"Python": ".".join(map(str, sys.version_info[:2]))}
    kind: Kind
    for plugin in used_plugins(experiment, plugins):
        kind, stage = ("augmenter", AUGMENTING) if isinstance(plugin, Augmenter) else ("classifier", CLASSIFYING)
        made_from = provenance(plugin, plugins.get(kind, plugin.name).package, *stage)
        found |= made_from["versions"]
        found |= {f"the code of {name}": digest for name, digest in modules_behind(plugin, *stage).items()}
        found |= {f"file {number} of {plugin.name}": text for number, text in enumerate(made_from["files"], 1)}
    return found


def differences(there: dict[str, str], here: dict[str, str]) -> list[str]:
    """What differs between a worker and this machine, in words."""
    unequal = [name for name in {**here, **there} if there.get(name, NONE) != here.get(name, NONE)]
    words = [_difference(name, there.get(name, NONE), here.get(name, NONE)) for name in unequal]
    more = [f"and {len(words) - SHOWN} more differences"] if len(words) > SHOWN else []
    return [*words[:SHOWN], *more]


def _difference(name: str, there: str, here: str) -> str:
    if name.startswith(("the code of ", "file ")):
        return f"{name} {'is only here' if there == NONE else 'is only there' if here == NONE else 'differs'}"
    return f"{name} is {there} there and {here} here"


def _problems(seen: Any, here: dict[str, str]) -> Iterator[str]:
    """What is wrong with a worker, in sentences."""
    if not isinstance(seen, Seen):
        text = str(seen) or type(seen).__name__
        yield f"it could not be asked ({text}); install there what is installed here, and start it again"
        return
    differs = differences(seen.made_with, here)
    if differs:
        yield f"{'; '.join(differs)} ({seen.where}); install there what is installed here, and start it again"
    for folder in seen.unseen:
        yield f"it does not see {folder} under the same path, or may not write there ({seen.where}); mount it there"
    if not seen.has_gpu:
        yield f"torch finds no GPU there ({seen.where}); start it on a machine that has one"


def _is_seen(token: Path, text: str) -> bool:
    beside = token.with_name(f"{token.name}-{uuid.uuid4().hex}")
    try:
        beside.touch()
        beside.unlink()
        return token.read_text(encoding="utf-8") == text
    except OSError:
        return False


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()
