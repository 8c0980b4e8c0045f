"""What code made a result: package versions and a digest of the plugin's own source."""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lesionbench.errors import SettingsError
from lesionbench.experiment.store import file_digest, files_digest
from lesionbench.pipeline.plugin import Plugin

CORE = Path(__file__).parent.parent


# What only starts, sends, shows, describes or judges cannot change a result.
NO_EFFECT = {"cloudpickle", "matplotlib", "packaging", "platformdirs", "pluggy", "rich", "statsmodels", "tomli-w"}
NO_EFFECT |= {"typer"}


def provenance(plugin: Plugin, package: str) -> dict[str, Any]:
    """Everything about a plugin that can change what it makes: settings, the files they name, versions, source.

    Raises SettingsError when such a file cannot be used.
    """
    return {
        "name": plugin.name,
        "settings": plugin.model_dump(mode="json"),
        "files": [_content(plugin, path) for path in plugin.input_files()],
        "versions": _versions(package),
        "source": [_source_digest(module) for module in _modules(type(plugin))],
        "core": core_digest(),
    }


def _content(plugin: Plugin, path: Path) -> str:
    """The digest of a file that a plugin reads."""
    try:
        found = path.stat()
        return _file_digest(path.absolute(), found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise SettingsError(f"{plugin.name} cannot read {path} ({error.strerror}); give it another file") from None


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  # another size or time, another content
    """The digest of a file; weights are large and asked for by every cell."""
    return file_digest(path)


def _modules(plugin: type[Plugin]) -> list[str]:
    """The modules of a plugin class and of the classes it inherits from, less those that `core_digest` covers."""
    own = {base.__module__ for base in plugin.__mro__ if issubclass(base, Plugin)}
    return sorted(module for module in own if not module.startswith("lesionbench.pipeline."))


@cache
def core_digest() -> str:
    """A digest of the core's source that results depend on: the pipeline and the torch kit."""
    files = [file for folder in ("pipeline", "torchkit") for file in sorted((CORE / folder).glob("*.py"))]
    return files_digest(files, CORE)


@cache
def _versions(package: str) -> dict[str, str]:
    """The installed versions of a package and of everything it requires, directly or not."""
    versions: dict[str, str] = {}
    waiting, seen = [(package, "")], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name in NO_EFFECT:
            continue
        seen.add((name, extra))
        versions[name] = _version(name)
        for needed in _requirements(name, extra):
            waiting += [(canonicalize_name(needed.name), wanted) for wanted in ("", *needed.extras)]
    return versions


def _requirements(package: str, extra: str) -> list[Requirement]:
    try:
        wanted = [Requirement(line) for line in metadata.requires(package) or []]
    except metadata.PackageNotFoundError:
        return []
    return [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def _source_digest(module: str) -> str:
    """A digest of the source files of the top-level package (or the single file) that holds a module."""
    top = module.partition(".")[0]
    if top == "lesionbench":
        return files_digest(sorted((CORE / "builtin").glob("*.py")), CORE)
    file = getattr(sys.modules[top], "__file__", None)
    if file is None:  # a namespace package: the folder of the module itself
        own = sys.modules[module].__file__
        assert own is not None
        return files_digest(sorted(Path(own).parent.rglob("*.py")), Path(own).parent)
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return files_digest(files, path.parent)
