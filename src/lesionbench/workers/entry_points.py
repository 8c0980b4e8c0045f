"""Finding executors: those of lesionbench, and one entry point at a time those of other packages."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points

from lesionbench.errors import SettingsError
from lesionbench.spelling import did_you_mean, made_of, parse_spec
from lesionbench.workers.dask_cluster import Dask
from lesionbench.workers.executors import Executor
from lesionbench.workers.local import Local
from lesionbench.workers.submitit_jobs import Submitit

GROUP = "lesionbench.executors"
CORE = "lesionbench"
OURS: dict[str, type[Executor]] = {"local": Local, "dask": Dask, "submitit": Submitit}


@dataclass(frozen=True)
class Found:
    """One class of executors, its name, and the package that brought it."""

    name: str
    package: str
    cls: type[Executor]


@dataclass
class Executors:
    """The executors that are installed by name, and those that could not be loaded, with the reason."""

    found: dict[str, Found] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Executors:
        """Every executor of lesionbench and of the installed packages (entry-point group `lesionbench.executors`)."""
        loaded = cls({name: Found(name, CORE, ours) for name, ours in OURS.items()})
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            package = entry.dist.name if entry.dist else entry.name
            try:
                loaded.add(entry.name, package, entry.load())
            except (Exception, SystemExit) as error:  # whatever a package raises while it is imported
                loaded.broken[f"{package} ({entry.name})"] = f"{type(error).__name__}: {error}"
        return loaded

    def add(self, name: str, package: str, cls: object) -> None:
        """Add one class; raises TypeError or ValueError when it cannot be used."""
        if not (isinstance(cls, type) and issubclass(cls, Executor)):
            raise TypeError(f"an executor is a class that extends lesionbench.Executor, not {cls!r}")
        if name in self.found:
            raise ValueError(f"the executor {name!r} is that of {self.found[name].package}")
        cls()  # every setting has a default
        self.found[name] = Found(name, package, cls)

    def has(self, spec: str) -> bool:
        """Whether a text such as `submitit[partition=gpu]` begins with the name of an executor."""
        return spec.partition("[")[0] in self.found

    def make(self, spec: str) -> Executor:
        """The executor that a text such as `submitit[partition=gpu]` names; raises SettingsError."""
        name, settings = parse_spec(spec)
        if name not in self.found:
            known = sorted(self.found)
            message = f"no executor {name!r} is installed{did_you_mean(name, known)} (installed: {', '.join(known)})"
            if self.broken:
                message += f"; could not be loaded: {', '.join(self.broken)}, see: lesionbench plugins"
            raise SettingsError(message)
        return made_of(f"executor {name!r}", self.found[name].cls, settings, f"lesionbench plugins {name}")
