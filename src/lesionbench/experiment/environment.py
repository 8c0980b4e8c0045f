"""The environment of a run: software, machine and data that its results were made with, kept as environment.json.

Nothing in it names a person or a computer: no environment variables, no host or user names, and of paths that were
typed only the last part.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ConfigDict, ValidationError

from lesionbench import __version__
from lesionbench.errors import OutputError, Try
from lesionbench.experiment.code_digest import CORE
from lesionbench.experiment.keys import AUGMENTING, CLASSIFYING
from lesionbench.experiment.machine import gpu, processor
from lesionbench.experiment.prepare import SPLITTING, used_plugins
from lesionbench.experiment.provenance import NO_EFFECT, modules_behind, provenance, versions_behind
from lesionbench.pipeline.augmenter import Augmenter
from lesionbench.pipeline.dataset import Dataset
from lesionbench.spelling import spec_of
from lesionbench.store.whole_files import write_whole
from lesionbench.workers.apart import ONE_THREAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.experiment.prepare import Prepared
    from lesionbench.pipeline.plugin import Plugin
    from lesionbench.plugins import Kind, Plugins

ENVIRONMENT = "environment.json"
SLOWEST_GIT = 10  # seconds
ADDRESS = re.compile(r"(\w+)://[^\s,\]]+")
# Absolute, or from above the working folder:
PATH = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:\\|\.\.[/\\]|[/\\])[^\s,\]]*[/\\]([^/\\\s,\]]*)")


class Part(BaseModel):
    """A part of environment.json; what a later version adds to it is ignored."""

    model_config = ConfigDict(frozen=True)


class UsedPlugin(Part):
    """A plugin of the run, the package that brings it, and the digest of the code behind its results."""

    kind: str
    spec: str  # with the settings that differ from the defaults
    package: str
    version: str
    commit: str | None
    code: str
    files: tuple[str, ...] = ()  # digests of the files that its settings name, such as weights

    @property
    def name(self) -> str:
        """The plugin without its settings."""
        return self.spec.partition("[")[0]


class Data(Part):
    """The images of a run, known by digests."""

    dataset: str
    files: str  # of the dataset's files; empty if it draws its images
    training_images: tuple[str, ...]  # of the training images of every fold


class Session(Part):
    """One start of the run."""

    started: str  # UTC
    command: str
    lesionbench: str
    commit: str | None


class Environment(Part):
    """What a run was made with when it was last started; every result in its folder has a key of just these."""

    lesionbench: str
    commit: str | None
    python: str
    platform: str
    processor: str
    gpu: str | None
    device: str
    precision: str
    threads: int  # of each fit
    data: Data
    plugins: tuple[UsedPlugin, ...]
    libraries: dict[str, str]  # versions of the libraries that can change a result
    other_libraries: dict[str, str]  # of those that start, send, show, describe or judge
    modules: dict[str, str]  # the digest of every module behind the plugins' code
    sessions: tuple[Session, ...]  # the last one last


def environment_here(prepared: Prepared, plugins: Plugins) -> Environment:
    """The environment of a run that would start here and now."""
    used = _used(prepared, plugins)
    packages = sorted({plugin.package for plugin, _ in used})
    libraries = _joined(versions_behind(package, frozenset(NO_EFFECT)) for package in packages)
    every = _joined(versions_behind(package) for package in packages)
    session = session_here()
    return Environment(
        lesionbench=session.lesionbench,
        commit=session.commit,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        processor=processor(),
        gpu=gpu(prepared.device),
        device=prepared.device,
        precision=prepared.precision,
        threads=int(ONE_THREAD["OMP_NUM_THREADS"]),
        data=Data(dataset=prepared.experiment.dataset, files=prepared.sources, training_images=prepared.train_digests),
        plugins=tuple(plugin for plugin, _ in used),
        libraries=libraries,
        other_libraries={name: version for name, version in every.items() if name not in libraries},
        modules=_joined(modules for _, modules in used),
        sessions=(session,),
    )


def session_here() -> Session:
    """The start of a run here and now."""
    return Session(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_command(sys.argv),
        lesionbench=__version__,
        commit=_commit(CORE),
    )


def write_environment(out: Path, prepared: Prepared, plugins: Plugins) -> None:
    """Write environment.json: the environment here and now, and every start of the run in `out` so far."""
    here = environment_here(prepared, plugins)
    try:
        earlier = read_environment(out).sessions
    except OutputError:  # there is none, or it was damaged
        earlier = ()
    keep_environment(out, here.model_copy(update={"sessions": (*earlier, *here.sessions)}))


def keep_environment(out: Path, environment: Environment) -> None:
    """Write environment.json."""
    write_whole(out / ENVIRONMENT, json.dumps(environment.model_dump(mode="json"), indent=1) + "\n")


def read_environment(out: Path) -> Environment:
    """The environment of the run in `out`; raises OutputError when it was not kept or cannot be read."""
    path = out / ENVIRONMENT
    try:
        return Environment.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise OutputError(
            f"there is no {ENVIRONMENT} in {out}, so nothing says what its results were made with",
            Try(f"run the experiment again to write it, which skips what is finished: lesionbench run {out}"),
        ) from None
    except (OSError, ValidationError):
        raise OutputError(
            f"{path} is not what a run writes; run the experiment again to restore it: lesionbench run {out}"
        ) from None


@dataclass(frozen=True)
class Differences:
    """What differs between two environments, in words."""

    deciding: tuple[str, ...]  # part of what results are known by in the store: other results are likely
    other: tuple[str, ...]  # may round differently, or only shows results


def differences(first: Environment, second: Environment, names: tuple[str, str]) -> Differences:
    """What differs between two environments; names: what to call each, such as `then` and `here`.

    Plugins, libraries and modules are compared where both have them.
    """

    def difference(what: str, one: object, other: object) -> str:
        return f"{what}: {one or 'none'} {names[0]}, {other or 'none'} {names[1]}"

    def fields(*wanted: str) -> list[str]:
        pairs = [(name, getattr(first, name), getattr(second, name)) for name in wanted]
        return [difference(name, one, other) for name, one, other in pairs if one != other]

    def tables(what: str, one: dict[str, str], other: dict[str, str]) -> list[str]:
        both = sorted(one.keys() & other.keys())
        return [difference(f"{what} {name}", one[name], other[name]) for name in both if one[name] != other[name]]

    modules = [name for name, digest in first.modules.items() if second.modules.get(name, digest) != digest]
    versions = [{plugin.package: plugin.version for plugin in one.plugins} for one in (first, second)]
    return Differences(
        deciding=(
            *(["the files of the data"] if first.data.files != second.data.files else []),
            *(["the training images"] if first.data.training_images != second.data.training_images else []),
            *fields("device", "precision"),
            *tables("version of", first.libraries, second.libraries),
            *(f"the code of the {name}" for name in _changed_plugins(first, second)),
            *(f"the files that the {name} reads" for name in _other_files(first, second)),
            *(f"the module {name}" for name in modules),
        ),
        other=(
            *fields("lesionbench", "commit", "python", "platform", "processor", "gpu", "threads"),
            *tables("version of", *versions),
            *tables("version of", first.other_libraries, second.other_libraries),
        ),
    )


def _changed_plugins(first: Environment, second: Environment) -> list[str]:
    """The plugins whose code differs; settings do not count."""
    known = {(plugin.kind, plugin.name): plugin.code for plugin in first.plugins}
    both = {(plugin.kind, plugin.name): plugin.code for plugin in second.plugins}
    return [f"{kind} {name}" for (kind, name), code in known.items() if both.get((kind, name), code) != code]


def _other_files(first: Environment, second: Environment) -> list[str]:
    """The plugins, with their settings, that read files with another content."""
    known = {(plugin.kind, plugin.spec): plugin.files for plugin in first.plugins}
    both = {(plugin.kind, plugin.spec): plugin.files for plugin in second.plugins}
    return [f"{kind} {spec}" for (kind, spec), files in known.items() if both.get((kind, spec), files) != files]


def _used(prepared: Prepared, plugins: Plugins) -> list[tuple[UsedPlugin, dict[str, str]]]:
    """Every plugin of the experiment, each with the modules behind it."""
    dataset = plugins.dataset(prepared.experiment.dataset)
    found: dict[tuple[str, str], tuple[UsedPlugin, dict[str, str]]] = {}
    commits: dict[str, str | None] = {}
    for plugin in (dataset, *used_plugins(prepared.experiment, plugins)):
        kind: Kind
        kind, stage = _stage(plugin)
        package = plugins.get(kind, plugin.name).package
        if package not in commits:
            commits[package] = _commit(package)
        made_from = provenance(plugin, package, *(() if kind == "dataset" else stage))
        used = UsedPlugin(
            kind=kind,
            spec=spec_of(plugin),
            package=package,
            version=_version(package),
            commit=commits[package],
            code=made_from["code"],
            files=tuple(made_from["files"]),
        )
        found[kind, used.spec] = used, modules_behind(plugin, *stage)
    return list(found.values())


def _stage(plugin: Plugin) -> tuple[Kind, Sequence[str]]:
    """The kind of a plugin, and the modules of lesionbench that use what it makes."""
    if isinstance(plugin, Dataset):
        return "dataset", (SPLITTING,)
    return ("augmenter", AUGMENTING) if isinstance(plugin, Augmenter) else ("classifier", CLASSIFYING)


def _joined(tables: Any) -> dict[str, str]:
    joined = {name: value for table in tables for name, value in table.items()}
    return dict(sorted(joined.items()))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _commit(package: str) -> str | None:
    """The commit that a package was installed from, or that its folder is at if its source is used in place."""
    try:
        text = metadata.distribution(package).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return None
    if "vcs_info" in origin:
        return str(origin["vcs_info"].get("commit_id", "")) or None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    folder = Path(url2pathname(urlsplit(origin["url"]).path))
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit} with changes" if commit and _git(folder, "status", "--porcelain", "--", ".") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers about a folder; None where there is no git, or no repository."""
    program = shutil.which("git")
    if program is None:
        return None
    try:
        asked = [program, "-C", str(folder), *arguments]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=SLOWEST_GIT, check=True)  # noqa: S603  # our own arguments
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _command(typed: Sequence[str]) -> str:
    """What was typed, without what may name a person or a computer: of paths the last part, of addresses the kind."""
    program = Path(typed[0]) if typed else Path()
    if CORE not in (program.stem, program.parent.name):
        return "from Python"
    return shlex.join([CORE, *(PATH.sub(r".../\1", ADDRESS.sub(r"\1://...", one)) for one in typed[1:])])
