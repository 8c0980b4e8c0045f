"""What every plugin class promises: its settings can be described and stored, and importing it is fast."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lesionbench.testing.fixtures import FEW_STEPS, build, quick
from lesionbench.testing.require import Skipped, require

if TYPE_CHECKING:
    from lesionbench.pipeline.plugin import Plugin

HEAVY = ("torch", "torchvision", "albumentations", "cv2", "sklearn")

# Imports a module by name, or from its file if a new process cannot find it by name.
_IMPORT = """
import importlib, importlib.util, json, sys
for name, file in json.loads(sys.argv[1]):
    if file is None:
        importlib.import_module(name)
    else:
        spec = importlib.util.spec_from_file_location("plugin_under_check", file)
        module = sys.modules["plugin_under_check"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
print("\\n" + " ".join(name for name in json.loads(sys.argv[2]) if name in sys.modules))
"""


def check_settings_have_usable_defaults(plugin_class: type[Plugin]) -> None:
    """The class can be built without settings, and with two steps if it has a setting `steps`."""
    required = [name for name, field in plugin_class.model_fields.items() if field.is_required()]
    require(not required, f"every setting needs a default, but {_names(required)} has none; write Field(default, ...)")
    for make, how in ((plugin_class, "its defaults"), (lambda: build(plugin_class), f"steps={FEW_STEPS}")):
        try:
            make()
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise AssertionError(f"{how} must be valid, but: {problem}; change the default or the bound") from None


def check_settings_have_a_description(plugin_class: type[Plugin]) -> None:
    """Every setting says in one sentence what it does: `lesionbench plugins NAME` shows it."""
    bare = [name for name, field in plugin_class.model_fields.items() if not (field.description or "").strip()]
    require(not bare, f"every setting needs a description, but {_names(bare)} has none; write Field(description=...)")


def check_settings_are_frozen(plugin_class: type[Plugin]) -> None:
    """A plugin's settings cannot be changed after it was built."""
    frozen = plugin_class.model_config.get("frozen")
    require(frozen is True, f"settings must be frozen, but model_config has frozen={frozen}; leave it as inherited")


def check_settings_refuse_unknown_keys(plugin_class: type[Plugin]) -> None:
    """A misspelt setting is an error, never a silent default."""
    extra = plugin_class.model_config.get("extra")
    require(
        extra == "forbid", f"unknown settings must be refused, but model_config has extra={extra!r}; write 'forbid'"
    )


def check_settings_survive_json(plugin_class: type[Plugin]) -> None:
    """Settings are the same after they were written as JSON and read again: results are stored under them."""
    plugin = quick(plugin_class)
    again = plugin_class.model_validate_json(plugin.model_dump_json())
    require(again == plugin, f"settings must survive JSON, but {plugin!r} came back as {again!r}; use plain types")


def check_importing_it_loads_nothing_heavy(plugin_class: type[Plugin]) -> None:
    """Importing the plugin in a new process does not load torch or the like, so listing plugins stays fast."""
    loaded = heavy_imports(_modules_of(plugin_class))
    require(
        not loaded,
        f"importing {plugin_class.__module__} must not import {_names(loaded)}; move that import into fit or load",
    )


def heavy_imports(modules: list[tuple[str, str | None]]) -> list[str]:
    """The libraries among HEAVY that a new process has loaded after importing these modules (name, file or None)."""
    import json

    command = [sys.executable, "-c", _IMPORT, json.dumps(modules), json.dumps(HEAVY)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    problem = done.stderr.strip().splitlines()[-1:]
    require(done.returncode == 0, f"importing {modules[0][0]} in a fresh process must succeed, but: {_names(problem)}")
    return done.stdout.splitlines()[-1].split()


def _modules_of(plugin_class: type[Plugin]) -> list[tuple[str, str | None]]:
    """The module of the class and the entry points of its package: (name, file if it cannot be imported by name)."""
    name = plugin_class.__module__
    package = name.partition(".")[0]
    if package == "__main__":
        raise Skipped("it is defined in a script or a notebook, which is run and not imported")
    if find_spec(package) is None or find_spec(name) is None:
        try:
            return [(name, inspect.getfile(plugin_class))]
        except (OSError, TypeError):
            raise Skipped("it is defined in no file, so a fresh process cannot import it") from None
    entries = [entry.module for entry in entry_points(group="lesionbench") if entry.module.split(".")[0] == package]
    return [(module, None) for module in dict.fromkeys([name, *entries])]


def _names(words: list[str]) -> str:
    return ", ".join(words)
