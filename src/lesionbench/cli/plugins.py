"""`lesionbench plugins`: what is installed, from which package, with its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesionbench.plugins import Found, Plugins
    from lesionbench.workers.entry_points import Executors
    from lesionbench.workers.entry_points import Found as FoundExecutor


def plugins(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show the settings of this plugin.")] = None,
) -> None:
    """List what is installed, or the settings of one plugin."""
    from lesionbench.plugins import Plugins
    from lesionbench.report.console import say
    from lesionbench.workers.entry_points import Executors

    installed, executors = Plugins.load(), Executors.load()
    if name is None:
        lines = _all(installed, executors)
    elif name in executors.found:
        lines = _shown("executor", executors.found[name])
    else:
        lines = (line for found in installed.named(name) for line in _shown(found.kind, found))
    say(lines)


def _all(installed: Plugins, executors: Executors) -> Iterator[str]:
    from lesionbench.plugins import KINDS

    parts: dict[str, list[Found] | list[FoundExecutor]] = {f"{kind}s": installed.of_kind(kind) for kind in KINDS}
    parts["executors"] = [executors.found[name] for name in sorted(executors.found)]
    width = max(len(found.name) for part in parts.values() for found in part)
    for title, part in parts.items():
        yield title
        for found in part:
            yield f"  {found.name:<{width}}  {_summary(found)}  ({found.package})"
    broken = installed.broken | executors.broken
    if broken:
        yield "broken"
        for package, error in broken.items():
            yield f"  {package}: {error}"


def _shown(kind: str, found: Found | FoundExecutor) -> Iterator[str]:
    yield f"{kind} {found.name}  ({found.package})"
    yield f"  {_summary(found)}"
    for key, field in found.cls.model_fields.items():
        yield f"  {key} = {field.default}  {field.description or ''}".rstrip()


def _summary(found: Found | FoundExecutor) -> str:
    return (found.cls.__doc__ or "").strip().partition("\n")[0]
