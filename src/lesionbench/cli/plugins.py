"""`lesionbench plugins`: what is installed, from which package, with its settings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.plugins import Found, Plugins


def plugins(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show the settings of this plugin.")] = None,
) -> None:
    """List what is installed, or the settings of one plugin."""
    from lesionbench.plugins import Plugins

    installed = Plugins.load()
    lines = _all(installed) if name is None else _one(installed, name)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _all(installed: Plugins) -> Iterator[str]:
    from lesionbench.plugins import KINDS

    width = max(len(found.name) for found in installed.found.values())
    for kind in KINDS:
        yield f"{kind}s"
        for found in installed.of_kind(kind):
            yield f"  {found.name:<{width}}  {_summary(found)}  ({found.package})"
    if installed.broken:
        yield "broken"
        for package, error in installed.broken.items():
            yield f"  {package}: {error}"


def _one(installed: Plugins, name: str) -> Iterator[str]:
    for found in installed.named(name):
        yield f"{found.kind} {found.name}  ({found.package})"
        yield f"  {_summary(found)}"
        for key, field in found.cls.model_fields.items():
            yield f"  {key} = {field.default}  {field.description or ''}".rstrip()


def _summary(found: Found) -> str:
    return (found.cls.__doc__ or "").strip().partition("\n")[0]
