"""What made a result: a plugin's settings, the files it reads, its code and the libraries behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cache, lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lesionbench.errors import SettingsError
from lesionbench.experiment.code_digest import CORE, code_digest, module_digests, modules_of
from lesionbench.experiment.own_code import noted_code
from lesionbench.pipeline.plugin import Plugin
from lesionbench.store.digests import file_digest, key_of
from lesionbench.store.layout import CODE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lesionbench.store.store import Store

MODULES = "modules"  # inside an entry of CODE
# A requirement whose marker is, or ends with, `and extra == "NAME"`, so that it counts with that extra alone:
OF_EXTRA = re.compile(r""";\s*(?:\([^()]*\)\s+and\s+|(?:(?!\bor\b)[^()])*\band\s+)?extra\s*==\s*["']([^"']*)["']\s*$""")
# Libraries that only start, send, show, describe or judge: they cannot change a result.
NO_EFFECT = {
    *("cloudpickle", "matplotlib", "packaging", "platformdirs", "pluggy", "rich", "statsmodels", "tomli-w", "typer")
}


def provenance(plugin: Plugin, package: str, *stage: str) -> dict[str, Any]:
    """Everything about a plugin that can change what it makes: settings, the files they name, versions, code.

    stage: the modules of lesionbench that call the plugin and use what it returns.
    Raises SettingsError when a file that the plugin reads cannot be used.
    """
    return {
        "name": plugin.name,
        "settings": plugin.model_dump(mode="json"),
        "files": [_content(plugin, path) for path in plugin.input_files()],
        "versions": versions_behind(package, frozenset(NO_EFFECT)),
        "code": _code(type(plugin), stage),
    }


def modules_behind(plugin: Plugin, *stage: str) -> dict[str, str]:
    """The digest of every module that counts in the `code` of `provenance`, by name.

    A class that no package brings, with all that it uses, stands under its own name.
    """
    own, modules = noted_code(type(plugin)), _imported(type(plugin))
    by_value = {} if own is None else {type(plugin).__name__: own.digest}
    return {**by_value, **module_digests(*modules, *stage)}


def keep_modules(store: Store, code: str, modules: dict[str, str]) -> None:
    """Keep the digests of modules under the digest of the code that they are, so that a later change can be named."""
    if store.seek(CODE, code) is None:
        with store.write(CODE, code) as draft:
            draft.put_json(MODULES, modules)


def _code(plugin: type[Plugin], stage: tuple[str, ...]) -> str:
    """The digest of a plugin's code and of the stage that calls it."""
    own = noted_code(plugin)
    code = code_digest(*_imported(plugin), *stage)
    return code if own is None else key_of([own.digest, code])


def _imported(plugin: type[Plugin]) -> list[str]:
    """The modules of a plugin's class and its parents, but for those that the digest of its own code covers."""
    own = noted_code(plugin)
    return [name for name in modules_of(plugin, Plugin) if own is None or name not in own.modules]


def _content(plugin: Plugin, path: Path) -> str:
    """The digest of a file that a plugin reads."""
    try:
        found = path.stat()
        return _file_digest(path.absolute(), found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise SettingsError(f"{plugin.name} cannot read {path} ({error.strerror}); give it another file") from None


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  # another size or time, another content
    """The digest of a file; weights are large and every cell needs their digest."""
    return file_digest(path)


@cache
def versions_behind(package: str, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """The installed versions of a package and of everything that it and lesionbench require, directly or not.

    lesionbench itself is known by its code, so that a new version that changes nothing costs no fit.
    without: libraries to leave out, with what only they require.
    """
    versions: dict[str, str] = {}
    waiting, seen = [(package, ""), (CORE, "")], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name in without:
            continue
        seen.add((name, extra))
        if name != CORE:
            versions[name] = _version(name)
        for needed in _requirements(name, extra):
            waiting += [(canonicalize_name(needed.name), wanted) for wanted in ("", *needed.extras)]
    return versions


@cache
def _requirements(package: str, extra: str) -> list[Requirement]:
    """What a package requires with one of its extras, or without any where that is empty."""
    about = _about(package)
    lines = () if about is None else about.requires
    wanted = [Requirement(line) for line in lines if not _is_of_another_extra(line, extra)]
    return [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})]


def _is_of_another_extra(line: str, extra: str) -> bool:
    """Whether a requirement is one of another extra; nine in ten are, and parsing one takes 0.2 ms."""
    of_extra = OF_EXTRA.search(line)
    return of_extra is not None and canonicalize_name(of_extra[1]) != canonicalize_name(extra)


def _version(package: str) -> str:
    about = _about(package)
    return "not installed" if about is None else about.version


@dataclass(frozen=True)
class _About:
    """What an installed package says of itself: its version, and one line for each requirement."""

    version: str
    requires: Sequence[str]


@cache
def _about(package: str) -> _About | None:
    """What a package says of itself, without the long description after it; None when it is not installed."""
    try:
        installed = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None
    text = installed.read_text("METADATA")
    if text is None:  # installed in an older way
        return _About(installed.version, installed.requires or ())
    said = HeaderParser().parsestr(text.replace("\r\n", "\n").partition("\n\n")[0])
    return _About(said["Version"], said.get_all("Requires-Dist", ()))
