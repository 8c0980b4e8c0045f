"""Finding plugins: one entry point at a time, so that a broken package does not take the others with it."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal, get_args

import pluggy

from lesionbench import hookspecs
from lesionbench.errors import PluginError, SettingsError
from lesionbench.spelling import did_you_mean, made_of, parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.pipeline.classifier import Classifier
    from lesionbench.pipeline.dataset import Dataset
    from lesionbench.pipeline.plugin import Plugin

Kind = Literal["dataset", "augmenter", "classifier"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BUILTIN = "lesionbench"
OWN = "your own code"  # stands for the package of a class that no package brings


@dataclass(frozen=True)
class Found:
    """One plugin class and the package that brought it."""

    kind: Kind
    name: str
    package: str
    cls: type[Plugin]


@dataclass
class Plugins:
    """What is installed: by kind and name, and the packages that could not be loaded, with the reason."""

    found: dict[tuple[Kind, str], Found] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, pluggy.HookRelay] = field(default_factory=dict)  # by package
    own: bytes = b""  # the classes that no package brings, as experiment/own_code.py packs them for workers
    elsewhere: tuple[str, ...] = ()  # names of such classes that a run used, defined in another process

    @classmethod
    def load(cls, own: bytes = b"") -> Plugins:
        """Every plugin of lesionbench itself and of the installed packages (entry-point group `lesionbench`).

        own: classes that no package brings, packed by the process that started this one.
        Raises PluginError when two packages bring a plugin of the same kind and name.
        """
        from lesionbench import builtin

        loaded = cls()
        loaded.register(BUILTIN, builtin)
        for entry in sorted(entry_points(group="lesionbench"), key=lambda entry: entry.name):
            package = entry.dist.name if entry.dist else entry.name
            try:
                module = entry.load()
                loaded.register(package, module)
            except PluginError:
                raise
            except (Exception, SystemExit) as error:  # whatever a plugin raises while it is imported
                loaded.broken[package] = f"{type(error).__name__}: {error}"
        for kind, plugin in pickle.loads(own) if own else ():  # noqa: S301  # our own parent wrote it
            loaded.adopt(kind, plugin)
        return loaded

    def register(self, package: str, module: object) -> None:
        """Add everything one module registers, or nothing when any of it is unusable."""
        manager = pluggy.PluginManager("lesionbench")
        manager.add_hookspecs(hookspecs)
        manager.register(module, package)
        manager.check_pending()
        new: dict[tuple[Kind, str], Found] = {}
        for kind in KINDS:
            hook = getattr(manager.hook, f"register_{kind}s")
            registered = hook()
            if len(registered) < len(hook.get_hookimpls()):
                raise TypeError(f"register_{kind}s must return a list of classes, not None")
            for classes in registered:
                for plugin in classes:
                    found = Found(kind, _checked_name(plugin, kind), package, plugin)
                    self._refuse_twin(found, new)
                    new[kind, found.name] = found
        self.found |= new
        self.hooks[package] = manager.hook

    def adopt(self, kind: Kind, plugin: type[Plugin]) -> None:
        """Add a class that no package brings, such as one defined in a notebook; nothing when it is there already.

        Raises PluginError when its name is unusable, or that of another plugin.
        """
        known = self.found.get((kind, getattr(plugin, "name", "")))
        if known is not None and known.cls is plugin:
            return
        try:
            name = _checked_name(plugin, kind)
        except TypeError as error:
            raise PluginError(str(error)) from None
        if known is not None:
            raise PluginError(
                f"the class {plugin.__name__} is called {name!r}, which is the {kind} of {known.package}; "
                f"give it another name: name = 'my-{name}'"
            )
        self.found[kind, name] = Found(kind, name, OWN, plugin)

    def _refuse_twin(self, found: Found, new: dict[tuple[Kind, str], Found]) -> None:
        twin = (self.found | new).get((found.kind, found.name))
        if twin is not None:
            raise PluginError(
                f"two packages bring the {found.kind} {found.name!r}: {twin.package} and {found.package}; "
                f"uninstall one of them: pip uninstall {found.package}"
            )

    def of_kind(self, kind: Kind) -> list[Found]:
        """The plugins of one kind, by name."""
        return sorted((found for found in self.found.values() if found.kind == kind), key=lambda found: found.name)

    def data_commands(self) -> dict[str, Callable[..., None]]:
        """The commands that packages add to `lesionbench data`, by name; raises PluginError when one cannot be had."""
        commands: dict[str, Callable[..., None]] = {}
        for package, hook in self.hooks.items():
            try:
                functions = [function for brought in hook.register_data_commands() for function in brought]
                new = {function.__name__.replace("_", "-"): function for function in functions}
            except Exception as error:  # whatever a plugin raises
                raise PluginError(
                    f"the data commands of {package} cannot be loaded ({type(error).__name__}: {error}); "
                    f"mend it, or: pip uninstall {package}"
                ) from None
            twins = new.keys() & commands.keys()
            if twins:
                raise PluginError(
                    f"two packages bring the data command {min(twins)!r}: uninstall {package} or the other"
                )
            commands |= new
        return commands

    def get(self, kind: Kind, name: str) -> Found:
        """The plugin of this name; raises SettingsError that suggests the nearest name."""
        if (kind, name) in self.found:
            return self.found[kind, name]
        raise self._not_installed(kind, name, [found.name for found in self.of_kind(kind)])

    def named(self, name: str) -> list[Found]:
        """The plugins of this name, of whichever kind; raises SettingsError when there is none."""
        found = [self.found[kind, name] for kind in KINDS if (kind, name) in self.found]
        if not found:
            raise self._not_installed("plugin", name, sorted({known for _, known in self.found}))
        return found

    def _not_installed(self, what: str, name: str, known: list[str]) -> SettingsError:
        if name in self.elsewhere:
            return SettingsError(
                f"the {what} {name!r} was defined in a notebook or a script and is not installed; go on there, with "
                f"lesionbench.run, or bring {name!r} as a package (docs/writing-a-plugin.md)"
            )
        installed = ", ".join(known) or "none"
        message = f"no {what} {name!r} is installed{did_you_mean(name, known)} (installed: {installed})"
        if self.broken:
            message += f"; could not be loaded: {', '.join(self.broken)}, see: lesionbench plugins"
        return SettingsError(message)

    def dataset(self, spec: str) -> Dataset:
        """The dataset that a text such as `skin-lesion[test=clean]` names."""
        from lesionbench.pipeline.dataset import Dataset

        made = self._make("dataset", spec)
        assert isinstance(made, Dataset)
        return made

    def augmenter(self, spec: str) -> Augmenter:
        """The augmenter that a text such as `dcgan[steps=500]` names."""
        from lesionbench.pipeline.augmenter import Augmenter

        made = self._make("augmenter", spec)
        assert isinstance(made, Augmenter)
        return made

    def classifier(self, spec: str) -> Classifier:
        """The classifier that a text such as `kth-cnn[learning_rate=0.001]` names."""
        from lesionbench.pipeline.classifier import Classifier

        made = self._make("classifier", spec)
        assert isinstance(made, Classifier)
        return made

    def _make(self, kind: Kind, spec: str) -> Plugin:
        name, settings = parse_spec(spec)
        return made_of(f"{kind} {name!r}", self.get(kind, name).cls, settings, f"lesionbench plugins {name}")


@cache
def installed(own: bytes = b"") -> Plugins:
    """The plugins, loaded once in each process; own: see `Plugins.load`."""
    return Plugins.load(own)


def _checked_name(plugin: type[Plugin], kind: Kind) -> str:
    from lesionbench.pipeline.augmenter import Augmenter
    from lesionbench.pipeline.classifier import Classifier
    from lesionbench.pipeline.dataset import Dataset

    base = {"dataset": Dataset, "augmenter": Augmenter, "classifier": Classifier}[kind]
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise TypeError(f"register_{kind}s must return {base.__name__} classes, not {plugin!r}")
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise TypeError(f"the name of {plugin.__name__} must be lower-case letters, digits and dashes, not {name!r}")
    return name
