"""What code made a result: package versions and a digest of the plugin's own source."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from lesionbench.experiment.store import files_digest, key_of

if TYPE_CHECKING:
    from lesionbench.pipeline.plugin import Plugin

CORE = Path(__file__).parent.parent


def provenance(plugin: Plugin, package: str) -> dict[str, Any]:
    """Everything about a plugin that can change what it makes: settings, versions, source."""
    return {
        "name": plugin.name,
        "settings": plugin.model_dump(mode="json"),
        "versions": _versions(package),
        "source": _source_digest(type(plugin).__module__),
        "core": core_digest(),
    }


@cache
def core_digest() -> str:
    """A digest of the core's source that results depend on: the pipeline and the torch kit."""
    files = [file for folder in ("pipeline", "torchkit") for file in sorted((CORE / folder).glob("*.py"))]
    return files_digest(files, CORE)


@cache
def _versions(package: str) -> dict[str, str]:
    """The installed versions of a package and of everything it requires directly."""
    versions = {package: _version(package)}
    for requirement in _requirements(package, ""):
        versions[requirement.name] = _version(requirement.name)
        for extra in requirement.extras:
            versions |= {needed.name: _version(needed.name) for needed in _requirements(requirement.name, extra)}
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
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None:
        return key_of(module)
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return files_digest(files, path.parent)
